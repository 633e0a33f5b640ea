"""The Role and the RoleBindings of a profile, and the findings about them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.manifests import Manifest
from controllers.profiles import Owner, Profile
from controllers.rbac import names, rules
from controllers.rbac.config import PipelineRole, RbacSettings

INVALID_OWNER = "InvalidOwner"
INVALID_SOURCE = "InvalidSource"
TOO_MANY_SOURCES = "TooManySources"
REDUNDANT_SOURCE = "RedundantSource"
NOT_ENABLED = "AccessNotEnabled"

MOST_SOURCES = 100
"""So many namespaces count in one annotation: it may be 256 KiB long, and each costs an object."""
_MOST_NAMED = 3
_LONGEST_NAMED = 70

Rule = dict[str, list[str]]


def desired(profile: Profile, _facts: object, settings: RbacSettings) -> Desired:
    """Return the Role and the RoleBindings, and the findings about owner and annotation."""
    return Desired(objects=_objects(profile, settings), findings=_findings(profile, settings))


def _objects(profile: Profile, settings: RbacSettings) -> list[Manifest]:
    """Return the Role, and the bindings of owner, support groups and admitted namespaces."""
    manifests: list[Manifest] = []
    if settings.pipeline_verbs:
        manifests.append(_pipelines_role(profile, settings))
    if settings.ml_pipeline is not PipelineRole.NONE and rules.owner_refusal(profile.owner) is None:
        manifests.append(_owners_binding(profile, settings))
    if settings.support_groups:
        groups = [_subject(rules.GROUP, group) for group in settings.support_groups]
        role = _role_reference("ClusterRole", names.SUPPORT)
        manifests.append(_binding(profile, names.SUPPORT, role, groups))
    manifests += (_binding_from(source, profile) for source in _sources(profile, settings))
    return manifests


def _findings(profile: Profile, settings: RbacSettings) -> list[Finding]:
    """Return what is wrong with the owner and with the annotation that admits namespaces."""
    found = []
    refusal = rules.owner_refusal(profile.owner)
    if refusal and settings.ml_pipeline is not PipelineRole.NONE:
        message = f"{refusal}; without it there is no RoleBinding {names.ML_PIPELINE}"
        found.append(Finding(reason=INVALID_OWNER, message=message))
    return [*found, *_annotation_findings(profile, settings)]


def pipeline_rules(settings: RbacSettings) -> list[Rule]:
    """The rules of the Role: resources of a group that have the same verbs share one."""
    made: dict[tuple[str, tuple[str, ...]], Rule] = {}
    for group, resources in settings.pipeline_verbs.items():
        for resource, verbs in resources.items():
            empty: Rule = {"apiGroups": [group], "resources": [], "verbs": list(verbs)}
            made.setdefault((group, verbs), empty)["resources"].append(resource)
    return list(made.values())


def _pipelines_role(profile: Profile, settings: RbacSettings) -> Manifest:
    return Manifest(
        kind="Role",
        namespace=profile.namespace,
        name=names.PIPELINES_ROLE,
        content={"rules": pipeline_rules(settings)},
    )


def _owners_binding(profile: Profile, settings: RbacSettings) -> Manifest:
    role = _role_reference("ClusterRole", names.ML_PIPELINE)
    if settings.ml_pipeline is PipelineRole.ROLE:
        role = _role_reference("Role", names.PIPELINES_ROLE)
    owner: Owner = profile.owner
    subject = _subject(owner.kind, owner.name, owner.namespace)
    return _binding(profile, names.ML_PIPELINE, role, [subject])


def _binding_from(source: str, profile: Profile) -> Manifest:
    role = _role_reference("ClusterRole", names.EDIT_ROLE)
    editor = _subject(rules.SERVICE_ACCOUNT, names.EDITOR, source)
    return _binding(profile, names.binding_from(source), role, [editor])


def _binding(
    profile: Profile, name: str, role: Mapping[str, str], subjects: Sequence[Mapping[str, str]]
) -> Manifest:
    return Manifest(
        kind="RoleBinding",
        namespace=profile.namespace,
        name=name,
        content={"roleRef": role, "subjects": list(subjects)},
        # kfam would take it for a contributor's, and fail over one with several subjects.
        stripped_annotations=names.KFAM_ANNOTATIONS,
    )


def _role_reference(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": names.API_GROUP, "kind": kind, "name": name}


def _subject(kind: str, name: str, namespace: str = "") -> dict[str, str]:
    """A subject with the API server's defaults: a ServiceAccount has no apiGroup."""
    subject = {"kind": kind, "name": name}
    if kind != rules.SERVICE_ACCOUNT:
        subject["apiGroup"] = names.API_GROUP
    if namespace:
        subject["namespace"] = namespace
    return subject


# Other namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the annotation says, each entry once and in its order."""

    sources: tuple[str, ...]
    """Namespaces that could be let in."""
    invalid: tuple[str, ...]
    redundant: tuple[str, ...]
    """The profile's own namespace, and what was said before; empty entries."""


def _read(profile: Profile) -> _Asked:
    text = profile.annotations.get(names.ALLOW_FROM, "")
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    known: dict[str, None] = {}
    invalid: dict[str, None] = {}
    redundant: dict[str, None] = {}
    for entry in entries:
        if entry in ("", profile.namespace) or entry in known:
            redundant[entry] = None
        elif rules.is_namespace(entry):
            known[entry] = None
        else:
            invalid[entry] = None
    return _Asked(sources=tuple(known), invalid=tuple(invalid), redundant=tuple(redundant))


def _sources(profile: Profile, settings: RbacSettings) -> tuple[str, ...]:
    return _read(profile).sources[:MOST_SOURCES] if settings.cross_namespace_access else ()


def _annotation_findings(profile: Profile, settings: RbacSettings) -> Iterator[Finding]:
    asked = _read(profile)
    if not settings.cross_namespace_access:
        if asked.sources or asked.invalid:
            why = "lets nobody in: this platform has not enabled cross-namespace access"
            yield _finding(NOT_ENABLED, f"{why}; remove it, or ask the platform's operators")
        return
    if asked.invalid:
        why = f"is refused for {_named(asked.invalid)}: expected names of namespaces, of at most 63"
        rest = "lower-case letters, digits and '-', separated by commas; the others are let in"
        yield _finding(INVALID_SOURCE, f"{why} {rest}", Severity.PROBLEM)
    if len(asked.sources) > MOST_SOURCES:
        why = f"lists {len(asked.sources)} namespaces: expected at most {MOST_SOURCES}"
        yield _finding(TOO_MANY_SOURCES, f"{why}; only the first are let in", Severity.PROBLEM)
    if asked.redundant:
        why = "is the profile's own namespace, said twice or empty: expected other namespaces, once"
        yield _finding(REDUNDANT_SOURCE, f"says nothing by {_named(asked.redundant)}, which {why}")


def _finding(reason: str, message: str, severity: Severity = Severity.NOTICE) -> Finding:
    whole = f"annotation {names.ALLOW_FROM} {message}"
    return Finding(reason=reason, message=whole, severity=severity)


def _named(entries: Sequence[str]) -> str:
    """The first few, shortened: an annotation can hold thousands."""
    shown = ", ".join(repr(entry[:_LONGEST_NAMED]) for entry in entries[:_MOST_NAMED])
    more = len(entries) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
