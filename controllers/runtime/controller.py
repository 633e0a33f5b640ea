"""What a controller declares: everything the base needs to run it, and nothing that runs itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from controllers.findings import Finding
from controllers.manifests import Body, Key, Manifest
from controllers.profiles import Profile

SettingsT = TypeVar("SettingsT")
FactsT = TypeVar("FactsT")


class Outside(Protocol):
    """A part of the world that is not Kubernetes."""

    async def close(self) -> None:
        """Gives back what it holds; bounded in time."""


@runtime_checkable
class Telling(Outside, Protocol):
    """A part of the world outside that says how it is."""

    def health(self) -> str:
        """A sentence for /readyz?verbose, from any thread; empty when all is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How one thing outside is that a controller asks: a gateway, a storage account."""

    name: str
    trouble: str = ""
    """A sentence; empty when all is well."""
    success: float | None
    """Unix seconds of its last good answer; None when it never gave one to this process."""


@runtime_checkable
class Measured(Outside, Protocol):
    """A part of the world outside that is several things, each shown in the metrics."""

    def parts(self) -> Sequence[Part]:
        """How each is, from any thread."""


@runtime_checkable
class Active(Outside, Protocol):
    """A part of the world outside that finds out by itself what concerns profiles."""

    async def run(self, view: View, wake: Wake) -> None:
        """From the first complete lists on, leading or not, until it is cancelled.

        An error of it ends the process.
        """

    def noticed(self) -> None:
        """What was kept of a watched object that wakes no profile has changed: see ``view``."""


class Connect(Protocol):
    """Makes the controller's part of the world outside."""

    def __call__(self, settings: Any, /, *, dry_run: bool) -> Outside | None:
        """Must not block, nor raise because nobody answers. In a dry run it changes nothing."""


IsGone = Callable[[str, str], bool]
"""Whether the Profile of this name and UID is known to be gone. False for what cannot be known:
before all Profiles are listed, and for UIDs of other shards. Ask right before acting on it."""


class Wake(Protocol):
    """Puts profiles in line for the controller."""

    def __call__(self, profile: str | None, /) -> None:
        """The Profile of this name, if there is one; None: every Profile."""


class View(Protocol):
    """What ``gather`` may read of the cluster: the informers' memory, never a request."""

    @property
    def outside(self) -> Any:
        """What ``Controller.connect`` made of the controller's settings."""

    @property
    def profiles(self) -> frozenset[str]:
        """The names of all Profiles, those of other shards too; one object until that changes."""

    def kept(self, kind: str, namespace: str, name: str) -> Any | None:
        """What the controller's projection kept of one watched object, or None."""

    def all_kept(self, kind: str, namespace: str) -> Mapping[str, Any]:
        """What it kept of all watched objects of a namespace, by name."""

    def concerning(self, kind: str, profile: str) -> Mapping[str, Any]:
        """What it kept of all watched objects without a namespace that wake this Profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A kind that the controller creates, keeps in shape and prunes.

    ``legacy`` names the unlabelled objects of an older suite that count as owned when the Profile
    controls them; it is given the object's metadata. It makes the informer list the kind without
    a label selector.

    ``names`` are those of all objects of the kind that it ever makes, where they are the same in
    every namespace: it asks for no right on others but to list them, and where there is one name,
    and nobody else in the process is interested in others, nothing else is listed. Those of a
    variant end in its name.

    ``dispensable`` (for optional kinds) says that the controller's other objects do not wait for
    the kind: its manifests are left out while the cluster does not serve it.
    """

    kind: str
    legacy: Callable[[Mapping[str, Any]], bool] | None = None
    names: tuple[str, ...] = ()
    dispensable: bool = False


EVERY_PROFILE = "*"
"""What ``Watched.wakes`` gives for an object that concerns all Profiles; none can be called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A kind that the controller only reads.

    ``keep`` is the projection: what is remembered of an object, or None when it is of no interest.
    An object wakes the Profile that ``wakes`` names, or EVERY_PROFILE, one after the other behind
    what is urgent, and only when what was kept of it changed;
    without ``wakes`` it wakes none, and the controller's part outside is told (``Active``).

    ``only`` is the namespace and name of the one object that is read: nothing else of the kind is
    listed, and no right to read it is asked for. A kind may be watched so several times.

    ``removable`` asks for the right to delete what ``Controller.removed`` names of the kind.
    """

    kind: str
    keep: Callable[[Body], Any | None]
    wakes: Callable[[Body], str | None] | None
    only: tuple[str, str] | None = None
    removable: bool = False

    @property
    def informer(self) -> str:
        """What the informer that serves it is called: the kind, or the one object of it."""
        return self.kind if self.only is None else str(Key(self.kind, *self.only))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An RBAC rule that the controller needs beyond those that follow from its kinds."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """Rules that a setting calls for, such as ``bind`` on the role that it has bound.

    They are needed while the setting has one of ``values``; where none is named, while it is
    neither false nor empty. Data and no function, as the Helm chart follows it, too.
    """

    setting: str
    rules: tuple[Rule, ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The rules that a setting lists itself: a table of API group -> resource -> verbs.

    Kubernetes lets nobody write a Role with rights that he lacks, so who writes them has them.
    """

    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A rule for those objects alone whose names a setting holds; ``rule`` itself names none.

    The setting is a name, or a list of which each item has one in its field ``key``; what follows a
    slash is a namespace. It is needed while one of ``while_set`` is not empty, if any is named.
    """

    setting: str
    rule: Rule
    key: str = ""
    while_set: tuple[str, ...] = ()


async def no_facts(_profile: Profile, _view: View) -> None:
    """Most controllers need to know nothing but the Profile."""


def nothing_outside(_settings: object, *, dry_run: bool) -> None:
    """Most controllers talk to nothing but Kubernetes."""


def no_trouble(_facts: object) -> Exception | None:
    """Most controllers either know all they need, or ``gather`` raises."""
    return None


def no_findings(_profile: Profile, _facts: object, _settings: object) -> Sequence[Finding]:
    """Most controllers have nothing to remark."""
    return ()


def nothing_spared(_profile: Profile, _facts: object, _settings: object) -> Collection[Key]:
    """Most controllers prune whatever they no longer want."""
    return ()


def nothing_removed(_profile: Profile, _facts: object, _settings: object) -> Collection[Key]:
    """Most controllers delete nothing but what they made and no longer want."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller(Generic[SettingsT, FactsT]):
    """One controller.

    ``desired`` and ``findings`` are pure. ``gather`` is the one step that may wait for the world;
    ``facts`` stands for its answer where there is no cluster to ask (``render``).
    """

    name: str
    summary: str
    settings: type[SettingsT]
    facts: FactsT
    owned: tuple[Owned, ...]
    desired: Callable[[Profile, FactsT, SettingsT], Sequence[Manifest]]
    findings: Callable[[Profile, FactsT, SettingsT], Sequence[Finding]] = no_findings
    spared: Callable[[Profile, FactsT, SettingsT], Collection[Key]] = nothing_spared
    """Pure. Objects that are not wanted, or not now, and yet must not be pruned: who would want
    them could not be asked, or something else has to go first. Missing ones are not made."""
    removed: Callable[[Profile, FactsT, SettingsT], Collection[Key]] = nothing_removed
    """Pure. Objects that have to go now before anything else can: of owned or removable kinds, in
    the profile's namespace or in none, wanted by nobody. Each is deleted as it was seen (its UID
    and resourceVersion are preconditions). While there are any the profile is not ready, and it is
    looked at again soon: that is how things go in an order, a step in each reconcile."""
    gather: Callable[[Profile, View], Awaitable[FactsT]]
    connect: Connect = nothing_outside
    """Makes what ``gather`` finds as ``View.outside``, a client of an object store, say. Called
    once a process, in its event loop."""
    chore: Callable[[Any, IsGone], Awaitable[None]] | None = None
    """What is to be done outside for no profile, or for those that are gone: at the start, at every
    resync, and soon after a Profile went. Given what ``connect`` made. When it raises it is tried
    again with backoff; never called in a dry run."""
    webhook: Callable[[SettingsT, tuple[str, int] | None], Coroutine[Any, Any, int]] | None = None
    """With ``--webhook`` the process runs this alone: it serves the same desired state to another
    operator, without an API server, until the process is told to stop, and returns its exit code.
    Given an address to listen on besides its own; raises OSError when it cannot listen."""
    trouble: Callable[[FactsT], Exception | None] = no_trouble
    """What ``gather`` could not learn although it did not raise: the objects are kept as the facts
    say, and then the reconcile ends as if this had been raised."""
    watched: tuple[Watched, ...] = ()
    rules: tuple[Rule, ...] = ()
    configured_rules: tuple[Granted | Listed | Named, ...] = ()
    """Further rules that follow from the settings."""
    flags: tuple[str, ...] = ()
    """Settings that are lists of texts and flags of its subcommand as well: ``--support-groups``
    of ``support_groups``, repeatable and comma-separated."""
    aliases: tuple[str, ...] = ()
    """Hidden subcommand names, for deployments that use an older one."""

    namespaces: Callable[[SettingsT], Collection[str]] | None = None
    """Where it writes besides the profile's namespace; by its settings, and never by a Profile."""
    apart: bool = False
    """A process of its own, by its name: ``all`` leaves it out, unless it is asked for."""
    variants: tuple[str, ...] = ()
    """What may follow its name. It runs as one of them, and a process of each may run beside the
    other: name, condition, labels and Lease are the variant's own."""
    variant: Callable[[SettingsT], Controller[Any, Any]] | None = None
    """The controller as it runs with these settings, where it has variants."""
    variant_of: str = ""
    """Of a variant, the name that the registry knows; a Profile may pause it by either."""

    @property
    def condition(self) -> str:
        """The type of its condition on a Profile: ``AuthzPoliciesReady`` for authz-policies."""
        return "".join(part.capitalize() for part in self.name.split("-")) + "Ready"

    @property
    def asks_outside(self) -> bool:
        """Whether what it wants follows from something outside Kubernetes, too."""
        return self.connect is not nothing_outside

    def with_settings(self, settings: SettingsT) -> Controller[Any, Any]:
        """What runs: itself, or the variant that the settings choose."""
        return self if self.variant is None else self.variant(settings)


AnyController = Controller[Any, Any]
