"""gitea as a process under exactly its ClusterRole, and what a profile has of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import yaml

from controllers.gitea import names
from controllers.gitea.controller import CONTROLLER
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import Account
from controllers.runtime import rbac
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import ControlPlane, Json
from tests.support.postgres.server import ADMIN_PASSWORD, Postgres

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
ARGO = "profiles-argocd-system"
CONDITION = "GiteaUnclassifiedReady"
_IDENTITY = "gitea"


@contextmanager
def running(suites: Suites, postgres: Postgres, folder: Path, **settings: Any) -> Iterator[Suite]:
    """A process that looks at all again every three seconds; at its end all is searched.

    No right was missing, and no password is anywhere but in its Secret.
    """
    plane = suites.plane
    kubeflow.install_gitea(plane)
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO}})
    role = rbac.cluster_role([CONTROLLER], "suite-gitea")
    kubeconfig = service_account.bind(plane, _IDENTITY, role)
    audit = Audit(plane, service_account.user(_IDENTITY))
    chosen = postgres.settings(**settings).model_dump(
        mode="json", exclude_unset=True, exclude={"psql_admin_passwd"}
    )
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"gitea": chosen}))
    suite = suites.start(
        "gitea", "--config", str(file), "--resync", "0.05", "--log-level", "debug",
        kubeconfig=kubeconfig, variables={"GITEA_PSQL_ADMIN_PASSWD": ADMIN_PASSWORD},
    )  # fmt: skip
    yield suite.wait_ready()
    denied, leaking = audit.denied(), leaks(plane, postgres, suite)
    assert not denied, f"rights are missing: {denied}"
    assert not leaking, f"a password is seen in: {leaking}"
    assert suite.stop() == 0
    assert ADMIN_PASSWORD not in suite.text()


def leaks(plane: ControlPlane, postgres: Postgres, suite: Suite) -> list[str]:
    """Where a password is seen, though it is not its Secret."""
    listed = plane.request("GET", "/api/v1/secrets")["items"]
    found = (accounts.parse(one.get("data") or {}, names.SECRET_KEY) for one in listed)
    passwords = [one.password for one in found if one is not None]
    assert passwords
    kinds = ("Event", "Profile", "Application", "ConfigMap", "VirtualService", "ServiceEntry")
    places = {kind: json.dumps(plane.request("GET", KINDS[kind].path())) for kind in kinds}
    places |= {path: suite.get(path)[1] for path in ("/metrics", "/readyz?verbose", "/livez")}
    places |= {"log": suite.text()}
    secrets = {place: [*passwords, ADMIN_PASSWORD] for place in places}
    places["log of Postgres"], secrets["log of Postgres"] = postgres.log(), passwords
    return [place for place, text in places.items() if any(one in text for one in secrets[place])]


def paths(profile: str, classification: str = "unclassified") -> list[str]:
    """Of Application, Secret, ConfigMap, VirtualService and ServiceEntry."""
    tenant = {
        "Secret": names.secret(classification),
        "ConfigMap": f"gitea-banner-{classification}",
        "VirtualService": names.virtual_service(classification),
        "ServiceEntry": names.service_entry(classification),
    }
    application = names.application(profile, classification)
    found = [KINDS["Application"].path(ARGO, application)]
    return [*found, *(KINDS[kind].path(profile, name) for kind, name in tenant.items())]


def present(plane: ControlPlane, profile: str, classification: str = "unclassified") -> list[Json]:
    """Those of them that are there."""
    found = (observe.find(plane, path) for path in paths(profile, classification))
    return [one for one in found if one is not None]


def versions(plane: ControlPlane, profile: str) -> list[str]:
    """The resourceVersion of each object of the profile that is there."""
    return [one["metadata"]["resourceVersion"] for one in present(plane, profile)]


def account(plane: ControlPlane, profile: str) -> Account | None:
    """What the Secret holds."""
    found = observe.find(plane, paths(profile)[1])
    return accounts.parse(found["data"], names.SECRET_KEY) if found else None


def wait_for(plane: ControlPlane, profile: str, status: str = "True", seconds: float = 60) -> None:
    """Until the condition has this status."""
    waiting.until(
        lambda: observe.status(plane, profile, CONDITION) == status,
        f"{CONDITION} of {profile} is {status}",
        seconds=seconds,
    )


def opt_in(plane: ControlPlane, name: str) -> str:
    """A new tenant, once it has all that it asked for."""
    kubeflow.create_tenants(plane, [name], labels={LABEL: "true"})
    wait_for(plane, name)
    return name


def opens(postgres: Postgres, found: Account | None, profile: str) -> bool:
    """Whether the account opens the profile's database."""
    assert found is not None
    try:
        postgres.login(found.user, found.password, names.identifier(profile)).close()
    except psycopg.OperationalError:
        return False
    return True
