"""The reconcile table of network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from controllers.manifests import Body, Key
from controllers.network import desired, names
from controllers.network.config import NetworkSettings
from controllers.network.controller import CONTROLLER
from tests.support import builders
from tests.support.reconcile.case import Case, Table, event

# All but two policies are disabled, so that a row can list all requests.
FEW = ("vault-egress", "allow-gitea-to-postgres")
SETTINGS = {
    "policies": {
        one.name: one.name in FEW
        for one in desired.desired(
            builders.profile(labels={names.GITEA_LABEL: "1"}),
            desired.Facts(),
            NetworkSettings(),
        ).objects
    }
}
GITEA = {names.GITEA_LABEL: "true"}
DENY = {"podSelector": {}, "policyTypes": ["Egress"]}
VAULT = Key("NetworkPolicy", "alice", "vault-egress")
POSTGRES = Key("NetworkPolicy", "alice", "allow-gitea-to-postgres")
ONE = ("True", "NetworkPolicy vault-egress is in place")
TWO = ("True", "2 objects are in place")
REFUSED = f"{VAULT} refused (exists and is not managed by profiles-controller; rename or delete it)"
OF_BOB = f"{VAULT} refused (exists and belongs to Profile bob; rename or delete it)"
SPECS = {
    one.name: one.content["spec"]
    for one in desired.desired(
        builders.profile(labels=GITEA),
        desired.Facts(),
        NetworkSettings.model_validate(SETTINGS),
    ).objects
}


def policy(name: str, spec: Body | None = None, **fields: Any) -> Body:
    """A managed policy with its desired spec, unless the arguments say otherwise."""
    fields.setdefault("labels", builders.managed_labels("network"))
    return builders.object_body(
        "NetworkPolicy", name, uid=f"uid-{name}", spec=spec or SPECS.get(name, DENY), **fields
    )


def legacy(name: str) -> Body:
    """A policy of the older suite: owned by the Profile, without labels."""
    return policy(name, DENY, labels={})


def prunes(name: str) -> tuple[str, str]:
    key = Key("NetworkPolicy", "alice", name)
    return f"DELETE {key}", f"{key} prune"


RETIRED = "unclassified-minio-egress"
BOB = [builders.profile_reference("bob", "uid-bob")]
CASES: Mapping[str, Case] = {
    "new tenant": Case(requests=[f"POST {VAULT}"], events=[event(f"{VAULT} create")]),
    "opted in": Case(
        labels=GITEA,
        requests=[f"POST {VAULT}", f"POST {POSTGRES}"],
        events=[event(f"{VAULT} create", f"{POSTGRES} create")],
        condition=TWO,
        names=frozenset(FEW),
    ),
    "in sync": Case(before=[policy("vault-egress")]),
    "in sync with an additional empty list": Case(
        before=[policy("vault-egress", {**SPECS["vault-egress"], "ingress": []})],
        after={VAULT: {"spec": {**SPECS["vault-egress"], "ingress": []}}},
    ),
    "opted out": Case(
        before=[policy("vault-egress"), policy("allow-gitea-to-postgres")],
        requests=[prunes(POSTGRES.name)[0]],
        events=[event(prunes(POSTGRES.name)[1])],
    ),
    "edited": Case(
        before=[policy("vault-egress", DENY)],
        requests=[f"GET {VAULT}", f"PUT {VAULT}"],
        events=[event(f"{VAULT} update")],
    ),
    "legacy object that is desired": Case(
        before=[legacy("vault-egress")],
        requests=[f"GET {VAULT}", f"PUT {VAULT}"],
        events=[event(f"{VAULT} adopt")],
    ),
    "legacy object of a profile that did not opt in": Case(
        before=[policy("vault-egress"), legacy("allow-gitea-to-postgres")],
        requests=[prunes(POSTGRES.name)[0]],
        events=[event(prunes(POSTGRES.name)[1])],
    ),
    "legacy object with a retired name": Case(
        before=[policy("vault-egress"), legacy(RETIRED)],
        requests=[prunes(RETIRED)[0]],
        events=[event(prunes(RETIRED)[1])],
    ),
    "legacy object that is disabled": Case(
        before=[policy("vault-egress"), legacy("allow-jfrog-egress")],
        requests=[prunes("allow-jfrog-egress")[0]],
        events=[event(prunes("allow-jfrog-egress")[1])],
    ),
    "unlabelled objects with other names": Case(
        before=[policy("vault-egress"), legacy("theirs"), legacy("allow-dns-egress")],
        names=frozenset({VAULT.name, "theirs", "allow-dns-egress"}),
    ),
    "retired name with other labels": Case(
        before=[policy("vault-egress"), policy(RETIRED, labels={"app": "theirs"})],
        names=frozenset({VAULT.name, RETIRED}),
    ),
    "retired name without an owner": Case(
        before=[policy("vault-egress"), policy(RETIRED, labels={}, owners=[])],
        names=frozenset({VAULT.name, RETIRED}),
    ),
    "retired name of another profile": Case(
        before=[policy("vault-egress"), policy(RETIRED, labels={}, owners=BOB)],
        names=frozenset({VAULT.name, RETIRED}),
    ),
    "foreign object": Case(
        before=[policy("vault-egress", DENY, labels={}, owners=[])],
        events=[("Warning", "Refused", REFUSED)],
        condition=("False", REFUSED),
        after={VAULT: {"spec": DENY}},
    ),
    "object of another profile": Case(
        before=[policy("vault-egress", DENY, labels={}, owners=BOB)],
        events=[("Warning", "Refused", OF_BOB)],
        condition=("False", OF_BOB),
        after={VAULT: {"spec": DENY}},
    ),
}
TABLE = Table(
    controller=CONTROLLER,
    cases={
        name: dataclasses.replace(case, names=case.names or frozenset({VAULT.name}))
        for name, case in CASES.items()
    },
    defaults=SETTINGS,
    condition=ONE,
    after={VAULT: {"spec": SPECS[VAULT.name]}},
)
