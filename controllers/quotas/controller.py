"""What the quotas controller owns, watches and observes."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.quotas import desired, names
from controllers.quotas.config import QuotasSettings
from controllers.runtime import CacheReader, Controller, Owned, Watch, always, by_namespace


def transform(body: Body) -> Mapping[str, str] | None:
    """Return ``spec.hard`` of Kubeflow's own quota, and None for every other quota.

    A quota with scopes limits only some pods and restricts no override: its value is empty.
    """
    if body["metadata"]["name"] != names.KUBEFLOW_QUOTA:
        return None
    spec = body.get("spec") or {}
    if spec.get("scopes") or spec.get("scopeSelector"):
        return {}
    return {str(key): str(value) for key, value in (spec.get("hard") or {}).items()}


async def observe(
    profile: Profile, cache: CacheReader, _settings: QuotasSettings, _external: None
) -> desired.Facts:
    """Read Kubeflow's own quota of the namespace."""
    hard = cache.get("ResourceQuota", profile.namespace, names.KUBEFLOW_QUOTA)
    return desired.Facts(kubeflow_hard=hard or {})


CONTROLLER = Controller(
    name="quotas",
    summary="One ResourceQuota for each profile namespace, with overrides by label",
    settings=QuotasSettings,
    facts=desired.Facts(),
    observe=observe,
    desired=desired.desired,
    owned=always(Owned(kind="ResourceQuota", adopt_legacy=names.is_legacy)),
    watches=always(Watch(kind="ResourceQuota", transform=transform, map=by_namespace)),
)
