"""The contract of a controller: what it declares and the base runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from controllers.desired import Desired
from controllers.manifests import Body, Key, Manifest
from controllers.profiles import Profile
from controllers.runtime.apply.changeset import Change
from controllers.runtime.external.system import ComponentStatus

SettingsT = TypeVar("SettingsT")
SettingsT_contra = TypeVar("SettingsT_contra", contravariant=True)
FactsT = TypeVar("FactsT")
ExternalT = TypeVar("ExternalT")
ExternalT_co = TypeVar("ExternalT_co", covariant=True)
ValueT = TypeVar("ValueT")


# -- external systems -----------------------------------------------------------------------------


class External(Protocol):
    """The client of a controller's external systems."""

    def components(self) -> Sequence[ComponentStatus]:
        """Return the status of each system, for /readyz?verbose, metrics and the alert.

        Called from any thread.
        """

    async def close(self) -> None:
        """Release connections and threads, in bounded time."""


@runtime_checkable
class Runnable(External, Protocol):
    """An external system that runs a task of its own and enqueues the profiles that it affects."""

    async def run(self, cache: CacheReader, enqueue: Enqueue) -> None:
        """Run until cancelled, leading or not. Starts when the cache is synced.

        An error ends the process.
        """

    def watched_object_changed(self) -> None:
        """The transformed value of a watched object that maps to no profile has changed."""


class Connect(Protocol[SettingsT_contra, ExternalT_co]):
    """Creates the client of the controller's external systems."""

    def __call__(self, settings: SettingsT_contra, /, *, dry_run: bool) -> ExternalT_co:
        """Return the client. It does not block and does not raise for an unreachable system.

        In a dry run the client changes nothing.
        """


ProfileGone = Callable[[str, str], bool]
"""Predicate: whether the Profile of this name and UID is known to be deleted.

False when that is not known: before all Profiles are listed, and for UIDs of other shards. Call it
immediately before acting on the result.
"""
Enqueue = Callable[[Collection[str]], None]
"""Adds profiles, by name, to the controller's work queue. ALL_PROFILES adds all of them; names
without a Profile are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalFactory(Generic[SettingsT, ExternalT]):
    """How a controller connects to its external systems and collects garbage in them."""

    connect: Connect[SettingsT, ExternalT]
    """Called once per process, in its event loop."""
    collect_garbage: Callable[[ExternalT, ProfileGone], Awaitable[None]] | None = None
    """Removes what deleted Profiles left in the external system. Called at the start, at every
    resync, and soon after a Profile is deleted; retried with backoff when it raises; never called
    in a dry run."""


# -- the cache ------------------------------------------------------------------------------------


class CacheReader(Protocol):
    """Read access to the informers' caches for one controller. It never sends a request."""

    @property
    def profiles(self) -> frozenset[str]:
        """The names of all Profiles, including those of other shards.

        The same object until a Profile is created or deleted.
        """

    def get(self, kind: str, namespace: str, name: str) -> Any | None:
        """Return the transformed value of one watched object, or None."""

    def list(self, kind: str, namespace: str) -> Mapping[str, Any]:
        """Return the transformed values of the watched objects of a namespace, by name."""

    def list_for_profile(self, kind: str, profile: str) -> Mapping[str, Any]:
        """Return those of the watched cluster-scoped objects that map to this Profile, by name."""

    def blocked_write(self, profile: Profile, manifest: Manifest) -> Change | None:
        """Return the plan's change if it would not write this object of an owned kind, else None.

        For a controller that must know this before it acts in an external system, such as creating
        a password for a Secret. The change's action is UNCHANGED (the object is paused), PENDING or
        REFUSED, and its detail the reason. The content of the manifest does not matter. An object
        that the informer does not list, because of its labels, counts as absent.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A kind whose objects the controller creates, updates and prunes.

    ``adopt_legacy`` is a predicate on an object's metadata: the unlabelled objects of an older
    suite that count as owned when the Profile controls them. With it the informer lists the kind
    without a label selector.

    ``names`` are the names of all objects of the kind that the controller ever creates, if they are
    the same in every namespace. Its rights are then restricted to these names, except ``create``
    and, for several names, ``list`` and ``watch``.

    ``optional`` is for kinds of a CRD that a cluster may lack: the controller's other objects do
    not wait for the kind, and its objects are left out while the cluster does not serve it.
    """

    kind: str
    adopt_legacy: Callable[[Mapping[str, Any]], bool] | None = None
    names: tuple[str, ...] = ()
    optional: bool = False
    update_only: bool = False
    """The controller never creates or deletes an object of the kind: all its manifests are
    ``update_only``, and it has no right to create or delete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Objects that others own and to which the controller adds items or fields.

    Such an object in a profile's namespace is patched, with its resourceVersion as precondition,
    and never created, adopted, labelled or deleted. See docs/designs/0007-shared-objects.md.
    """

    kind: str
    names: tuple[str, ...]
    paths: tuple[str, ...]
    """Dotted paths of the lists and fields that additions may change, such as
    ``imagePullSecrets``."""
    owner: str
    """Who owns the objects, for messages: ``Kubeflow``."""


ALL_PROFILES: Collection[str] = frozenset({"*"})
"""What a map function returns for an object that affects every profile."""
NO_PROFILES: Collection[str] = ()


def by_namespace(body: Body) -> Collection[str]:
    """Map a namespaced object to the Profile of its namespace: both have the same name."""
    return (str(body["metadata"]["namespace"]),)


def no_profiles(_body: Body) -> Collection[str]:
    """Map an object to no profile; a change is reported to the external system (``Runnable``)."""
    return NO_PROFILES


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsFromSetting:
    """The objects whose names a setting holds, as data: program and Helm chart both evaluate it.

    The setting is a name, whose namespace is in the setting ``namespace``; or a list, of which the
    field ``key`` of each item is written ``<name>/<namespace>``. There are none unless one of the
    settings ``while_set`` is not empty, if any is listed.
    """

    setting: str
    key: str = ""
    namespace: str = ""
    while_set: tuple[str, ...] = ()

    def resolve(self, settings: object) -> Sequence[tuple[str, str]]:
        """Return namespace and name of each object with these settings, without duplicates."""
        if self.while_set and not any(getattr(settings, each) for each in self.while_set):
            return ()
        value = getattr(settings, self.setting)
        if not self.key:
            return ((str(getattr(settings, self.namespace)), str(value)),)
        texts = (str(getattr(item, self.key)).partition("/") for item in value)
        return tuple(dict.fromkeys((namespace, name) for name, _, namespace in texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A kind that the controller reads.

    ``transform`` returns what the cache stores of an object, or None to store nothing.

    ``map`` returns the names of the Profiles to enqueue when the transformed value of an object
    changes: some, ALL_PROFILES (enqueued with low priority), or NO_PROFILES. For a deleted object
    of a namespaced kind it receives only namespace and name.

    ``object`` is the namespace and name of the one object to watch, or the setting that holds them:
    nothing else of the kind is listed, and the rights are restricted to it. Several watches may
    have one kind.

    ``deletable`` grants the right to delete objects that ``Desired.delete`` names.
    """

    kind: str
    transform: Callable[[Body], Any | None]
    map: Callable[[Body], Collection[str]]
    object: tuple[str, str] | ObjectsFromSetting | None = None
    deletable: bool = False

    @property
    def single_object(self) -> Key | None:
        """The key of the single object; None when all objects of the kind are watched.

        Raises ValueError for a watch that is not resolved (``Controller.resolved_watches``).
        """
        match self.object:
            case None:
                return None
            case ObjectsFromSetting():
                raise ValueError(f"the watch of {self.kind} is not resolved: {self.object}")
            case namespace, name:
                return Key(self.kind, namespace, name)

    @property
    def informer(self) -> str:
        """The name of the informer that serves the watch: the kind, or the single object."""
        single_object = self.single_object
        return self.kind if single_object is None else str(single_object)

    def resolve(self, settings: Any) -> Sequence[Watch]:
        """Return the watch with these settings: one for each object that a setting holds."""
        if not isinstance(self.object, ObjectsFromSetting):
            return (self,)
        return tuple(replace(self, object=one) for one in self.object.resolve(settings))


# -- rights ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An RBAC rule."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesWhen:
    """Rules that depend on the value of a setting, such as ``bind`` on the role that it names.

    They apply while the setting has one of ``values``; without ``values``, while it is true or not
    empty. It is data and not a function because the Helm chart evaluates it, too.
    """

    setting: str
    rules: tuple[Rule, ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFromSetting:
    """Rules that a setting lists: a table of API group -> resource -> verbs.

    Kubernetes lets only a subject that has a right itself write it into a Role.
    """

    setting: str


def no_namespaces(_settings: object) -> Collection[str]:
    """Most controllers write only into the profile's namespace."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(Generic[SettingsT]):
    """Rights beyond those that follow from the owned and watched kinds."""

    rules: tuple[Rule, ...] = ()
    by_settings: tuple[RulesWhen | RulesFromSetting, ...] = ()
    namespaces: Callable[[SettingsT], Collection[str]] = no_namespaces
    """The namespaces in which it writes besides the profile's. A Profile never decides them."""


# -- the command line -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[SettingsT]):
    """How the controller appears on the command line."""

    flags: tuple[str, ...] = ()
    """Settings, lists of strings, that are flags of the subcommand as well: ``--support-groups``
    of ``support_groups``, repeatable and comma-separated."""
    aliases: tuple[str, ...] = ()
    """Hidden names of the subcommand, for deployments that use an older one."""
    webhook: Callable[[SettingsT, tuple[str, int] | None], Coroutine[Any, Any, int]] | None = None
    """With ``--webhook`` the process runs this instead of the reconciler: it serves the desired
    state to another operator, without an API server, until the process is stopped, and returns the
    exit code. The argument is a second address to listen on; raises OSError if that fails."""
    standalone: bool = False
    """The controller runs in a process of its own: ``all`` does not include it unless it is
    named."""


# -- the controller -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """The variants of a controller: it runs as exactly one of them.

    Name, condition, labels and Lease are the variant's own, so that a process of each can run
    beside the others.
    """

    setting: str = ""
    """The setting whose value is the variant's name."""
    names: tuple[str, ...] = ()
    of: str = ""
    """Of a controller that runs as a variant: its name in the registry. A Profile may pause the
    controller by either name."""


def always(*values: ValueT) -> Callable[[object], Sequence[ValueT]]:
    """Return a function that returns the same values for all settings."""
    return lambda _settings: values


async def no_facts(
    _profile: Profile, _cache: CacheReader, _settings: object, _external: object
) -> None:
    """Most controllers decide by the Profile and the settings alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller(Generic[SettingsT, FactsT, ExternalT]):
    """One controller. A reconcile calls ``observe`` and then ``desired``; the base does the rest.

    ``observe`` is the one step that may wait for an external system.
    ``desired`` is pure. ``facts`` are its facts where there is no cluster (``render``).

    ``owned``, ``watches`` and ``shared`` follow from the settings. They are also called with
    default settings, in which required settings are absent (``default_settings``).
    """

    name: str
    summary: str
    settings: type[SettingsT]
    facts: FactsT
    observe: Callable[[Profile, CacheReader, SettingsT, ExternalT], Awaitable[FactsT]]
    desired: Callable[[Profile, FactsT, SettingsT], Desired]
    owned: Callable[[SettingsT], Sequence[Owned]]
    watches: Callable[[SettingsT], Sequence[Watch]] = field(default_factory=always)
    shared: Callable[[SettingsT], Sequence[Shared]] = field(default_factory=always)
    external: ExternalFactory[SettingsT, ExternalT] | None = None
    access: Access[SettingsT] = field(default_factory=Access)
    command: Command[SettingsT] = field(default_factory=Command)
    variants: Variants = field(default_factory=Variants)

    @property
    def condition(self) -> str:
        """The type of its condition on a Profile: ``AuthzPoliciesReady`` for authz-policies."""
        return "".join(part.capitalize() for part in self.name.split("-")) + "Ready"

    @property
    def registered_names(self) -> tuple[str, ...]:
        """The names by which a Profile may pause it: its own, and as a variant the registry's."""
        return tuple(filter(None, (self.name, self.variants.of)))

    def default_settings(self, variant: str = "") -> SettingsT:
        """Return the settings where nothing is configured; required ones are absent."""
        if self.variants.of:
            variant = self.name.removeprefix(f"{self.variants.of}-")
        given = {self.variants.setting: variant} if variant else {}
        settings: Any = self.settings
        fields = getattr(settings, "model_fields", {})
        if any(one.is_required() for one in fields.values()):
            partial: SettingsT = settings.model_construct(**given)
            return partial
        complete: SettingsT = settings(**given)
        return complete

    def default_owned(self) -> Sequence[Owned]:
        """Return what it owns with default settings: each kind once, with all variants' names."""
        kinds: dict[str, Owned] = {}
        for variant in self.variants.names or ("",):
            for own in self.owned(self.default_settings(variant)):
                before = kinds.get(own.kind, own)
                names = tuple(dict.fromkeys((*before.names, *own.names)))
                kinds[own.kind] = replace(before, names=names)
        return list(kinds.values())

    def resolved_watches(self, settings: SettingsT) -> Sequence[Watch]:
        """Return what it watches with these settings."""
        return [one for watch in self.watches(settings) for one in watch.resolve(settings)]

    def for_settings(self, settings: SettingsT) -> Controller[SettingsT, FactsT, ExternalT]:
        """Return what runs with these settings: the controller itself, or its variant."""
        if not self.variants.names:
            return self
        return self.variant(str(getattr(settings, self.variants.setting)))

    def variant(self, name: str) -> Controller[SettingsT, FactsT, ExternalT]:
        """Return the variant of this name."""
        return replace(
            self,
            name=f"{self.name}-{name}",
            variants=Variants(setting=self.variants.setting, of=self.name),
        )


AnyController = Controller[Any, Any, Any]


def check_declarations(controller: AnyController, settings: Any) -> None:
    """Raise ValueError for declarations that exclude each other."""
    watches = controller.resolved_watches(settings)
    whole = [one.kind for one in watches if one.single_object is None]
    shared = [one.kind for one in controller.shared(settings)]
    for kinds, what in ((whole, "Watch of all objects"), (shared, "Shared")):
        repeated = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if repeated:
            raise ValueError(
                f"controller {controller.name}: more than one {what} of {', '.join(repeated)};"
                " declare one for each kind"
            )
    owned = {own.kind for own in controller.owned(settings)}
    for one in watches:
        if one.deletable and one.single_object is not None and one.kind not in owned:
            raise ValueError(
                f"controller {controller.name}: the watch of {one.single_object} is deletable;"
                " only a watch of all objects of a kind can be"
            )


"""A controller with settings and facts of any type."""

ConfiguredController = tuple[AnyController, Any]
"""A controller and its settings."""
