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

MAX_SOURCES = 100
"""Maximum number of namespaces in one annotation. Each of them gets a RoleBinding."""
_MAX_QUOTED = 3
_MAX_QUOTED_LENGTH = 70

Rule = dict[str, list[str]]


def desired(profile: Profile, _facts: object, settings: RbacSettings) -> Desired:
    """Return the Role and the RoleBindings, and the findings about owner and annotation."""
    return Desired(objects=_objects(profile, settings), findings=_findings(profile, settings))


def _objects(profile: Profile, settings: RbacSettings) -> list[Manifest]:
    """Return the Role, and the RoleBindings of owner, support groups and listed namespaces."""
    manifests: list[Manifest] = []
    if settings.pipeline_verbs:
        manifests.append(_pipelines_role(profile, settings))
    if settings.ml_pipeline is not PipelineRole.NONE and rules.owner_error(profile.owner) is None:
        manifests.append(_owners_binding(profile, settings))
    if settings.support_groups:
        groups = [_subject(rules.GROUP, group) for group in settings.support_groups]
        role = _role_reference("ClusterRole", names.SUPPORT)
        manifests.append(_binding(profile, names.SUPPORT, role, groups))
    manifests += (_binding_from(source, profile) for source in _sources(profile, settings))
    return manifests


def _findings(profile: Profile, settings: RbacSettings) -> list[Finding]:
    """Return the findings about the owner and the annotation that lists namespaces."""
    found = []
    error = rules.owner_error(profile.owner)
    if error and settings.ml_pipeline is not PipelineRole.NONE:
        message = f"{error}; RoleBinding {names.ML_PIPELINE} is not created"
        found.append(Finding(reason=INVALID_OWNER, message=message))
    return [*found, *_annotation_findings(profile, settings)]


def pipeline_rules(settings: RbacSettings) -> list[Rule]:
    """Return the rules of the Role: one for all resources of a group with the same verbs."""
    rules: dict[tuple[str, tuple[str, ...]], Rule] = {}
    for group, resources in settings.pipeline_verbs.items():
        for resource, verbs in resources.items():
            empty: Rule = {"apiGroups": [group], "resources": [], "verbs": list(verbs)}
            rules.setdefault((group, verbs), empty)["resources"].append(resource)
    return list(rules.values())


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
        # kfam treats a RoleBinding with these annotations as a contributor's, and fails if it has
        # several subjects.
        stripped_annotations=names.KFAM_ANNOTATIONS,
    )


def _role_reference(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": names.API_GROUP, "kind": kind, "name": name}


def _subject(kind: str, name: str, namespace: str = "") -> dict[str, str]:
    """Return a subject with the API server's defaults: a ServiceAccount has no apiGroup."""
    subject = {"kind": kind, "name": name}
    if kind != rules.SERVICE_ACCOUNT:
        subject["apiGroup"] = names.API_GROUP
    if namespace:
        subject["namespace"] = namespace
    return subject


# Other namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    """The entries of the annotation, each once and in their order."""

    sources: tuple[str, ...]
    """Valid names of other namespaces."""
    invalid: tuple[str, ...]
    redundant: tuple[str, ...]
    """The profile's own namespace, repetitions and empty entries."""


def _parse(profile: Profile) -> _Annotation:
    text = profile.annotations.get(names.ALLOW_FROM, "")
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    valid: dict[str, None] = {}
    invalid: dict[str, None] = {}
    redundant: dict[str, None] = {}
    for entry in entries:
        if entry in ("", profile.namespace) or entry in valid:
            redundant[entry] = None
        elif rules.is_namespace(entry):
            valid[entry] = None
        else:
            invalid[entry] = None
    return _Annotation(sources=tuple(valid), invalid=tuple(invalid), redundant=tuple(redundant))


def _sources(profile: Profile, settings: RbacSettings) -> tuple[str, ...]:
    return _parse(profile).sources[:MAX_SOURCES] if settings.cross_namespace_access else ()


def _annotation_findings(profile: Profile, settings: RbacSettings) -> Iterator[Finding]:
    entries = _parse(profile)
    if not settings.cross_namespace_access:
        if entries.sources or entries.invalid:
            message = "has no effect: cross-namespace access is not enabled on this platform"
            yield _finding(
                NOT_ENABLED, f"{message}; remove it, or contact the platform's operators"
            )
        return
    if entries.invalid:
        why = (
            f"has invalid entries {_quoted(entries.invalid)}: expected names of namespaces (at most"
        )
        rest = "63 lower-case letters, digits and '-'), separated by commas; the others apply"
        yield _finding(INVALID_SOURCE, f"{why} {rest}", Severity.PROBLEM)
    if len(entries.sources) > MAX_SOURCES:
        why = f"lists {len(entries.sources)} namespaces: expected at most {MAX_SOURCES}"
        yield _finding(
            TOO_MANY_SOURCES, f"{why}; only the first {MAX_SOURCES} apply", Severity.PROBLEM
        )
    if entries.redundant:
        why = "expected other namespaces, each once; remove them"
        yield _finding(
            REDUNDANT_SOURCE, f"has redundant entries {_quoted(entries.redundant)}: {why}"
        )


def _finding(reason: str, message: str, severity: Severity = Severity.NOTICE) -> Finding:
    whole = f"annotation {names.ALLOW_FROM} {message}"
    return Finding(reason=reason, message=whole, severity=severity)


def _quoted(entries: Sequence[str]) -> str:
    """Return the first few entries, shortened: an annotation can hold thousands."""
    shown = ", ".join(repr(entry[:_MAX_QUOTED_LENGTH]) for entry in entries[:_MAX_QUOTED])
    more = len(entries) - _MAX_QUOTED
    return f"{shown} and {more} more" if more > 0 else shown
