"""The states in which a namespace gets no key, and what is said of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controllers.pipelines import names
from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.account import Sight, State
from controllers.pipelines.objectstore.provider import Refusal, Tenant


def refusal(state: State, tenant: Tenant, sight: Sight) -> Refusal | None:
    """Why there is no key in this state; None in those where there is or will be one."""
    words = _REFUSALS.get(state)
    return words(tenant, sight) if words else None


def _foreign(tenant: Tenant, sight: Sight) -> Refusal:
    name = tenant.namespace
    whose = "is the administrator's own" if sight.administrator else "was not made for Kubeflow"
    return Refusal(
        reason="ForeignUser",
        message=(
            f"user {name} of the object store {whose}: remove or rename that user, or give the"
            " Profile another name"
        ),
    )


def _haunted(tenant: Tenant, sight: Sight) -> Refusal:
    where = " and ".join(f"{one}*" for one in policies.own_prefixes(tenant.namespace))
    whose = "an unknown tenant"
    if sight.record is not None:
        whose = f"Profile UID {sight.record.uid}" if sight.record.uid else "no Profile"
    how = f"annotate the Profile with {names.OLD_OBJECTS_ANNOTATION}: accept, archive or purge"
    if not tenant.uid:
        how = "set old_objects: accept if they are its own"
    return Refusal(
        reason="OldObjects",
        message=(
            f"{where} hold objects of an earlier tenant ({whose}): no key until it is decided what"
            f" becomes of them; {how}"
        ),
    )


def _disabled(tenant: Tenant, sight: Sight) -> Refusal:
    inactive = ", ".join(key for key, active in sight.keys.items() if not active)
    return Refusal(
        reason="KeyDisabled",
        message=(
            f"access key {inactive} of user {tenant.namespace} is deactivated: activate it, or"
            " remove it to have another made"
        ),
    )


_REFUSALS: Mapping[State, Callable[[Tenant, Sight], Refusal]] = {
    State.FOREIGN: _foreign,
    State.HAUNTED: _haunted,
    State.DISABLED: _disabled,
}
