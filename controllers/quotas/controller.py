"""What the quotas controller owns, watches and gathers."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.quotas import desired, names
from controllers.quotas.config import QuotasSettings
from controllers.runtime.controller import Controller, Owned, View, Watched


def keep(body: Body) -> Mapping[str, str] | None:
    """``spec.hard`` of Kubeflow's own quota; None for every other one.

    A quota with scopes limits some pods only, so that it undercuts no override: nothing is kept.
    """
    if body["metadata"]["name"] != names.KUBEFLOW_QUOTA:
        return None
    spec = body.get("spec") or {}
    if spec.get("scopes") or spec.get("scopeSelector"):
        return {}
    return {str(key): str(value) for key, value in (spec.get("hard") or {}).items()}


def wakes(body: Body) -> str | None:
    """The Profile of the namespace that the quota is in: they have the same name."""
    metadata = body["metadata"]
    return str(metadata["namespace"]) if metadata["name"] == names.KUBEFLOW_QUOTA else None


async def gather(profile: Profile, view: View) -> desired.Facts:
    """Kubeflow's own quota beside ours."""
    hard = view.kept("ResourceQuota", profile.namespace, names.KUBEFLOW_QUOTA)
    return desired.Facts(kubeflow_hard=hard or {})


CONTROLLER = Controller(
    name="quotas",
    summary="One ResourceQuota for each profile namespace, with overrides by label",
    settings=QuotasSettings,
    facts=desired.Facts(),
    owned=(Owned(kind="ResourceQuota", legacy=names.is_legacy),),
    watched=(Watched(kind="ResourceQuota", keep=keep, wakes=wakes),),
    desired=desired.desired,
    findings=desired.findings,
    gather=gather,
)
