"""The gitea controller as a process with its own ClusterRole, and the objects of a profile."""

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
from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.runtime import rbac
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json
from tests.support.postgres.server import ADMIN_PASSWORD, Postgres

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
ARGOCD_NAMESPACE = "profiles-argocd-system"
CONDITION = "GiteaUnclassifiedReady"
_IDENTITY = "gitea"


@contextmanager
def running(
    launcher: Launcher, postgres: Postgres, folder: Path, **settings: Any
) -> Iterator[ManagerProcess]:
    """Run a process that resyncs every three seconds.

    At the end, check that no request was forbidden, and that passwords are only in their Secrets.
    """
    plane = launcher.plane
    kubeflow.install_gitea(plane)
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGOCD_NAMESPACE}})
    role = rbac.cluster_role([CONTROLLER], "suite-gitea")
    kubeconfig = service_account.bind(plane, _IDENTITY, role)
    audit = Audit(plane, service_account.user(_IDENTITY))
    chosen = postgres.settings(**settings).model_dump(
        mode="json", exclude_unset=True, exclude={"psql_admin_passwd"}
    )
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"gitea": chosen}))
    manager = launcher.start(
        "gitea", "--config", str(file), "--resync", "0.05", "--log-level", "debug",
        kubeconfig=kubeconfig, variables={"GITEA_PSQL_ADMIN_PASSWD": ADMIN_PASSWORD},
    )  # fmt: skip
    yield manager.wait_ready()
    denied, places = audit.denied(), places_with_passwords(plane, postgres, manager)
    assert not denied, f"requests were forbidden: {denied}"
    assert not places, f"a password is in: {places}"
    assert manager.stop() == 0
    assert ADMIN_PASSWORD not in manager.text()


def places_with_passwords(
    plane: ControlPlane, postgres: Postgres, manager: ManagerProcess
) -> list[str]:
    """Return the places outside of its Secret where a password is readable."""
    secrets_list = plane.request("GET", "/api/v1/secrets")["items"]
    found = (accounts.parse_secret(one.get("data") or {}, names.SECRET_KEY) for one in secrets_list)
    passwords = [one.password for one in found if one is not None]
    assert passwords
    kinds = ("Event", "Profile", "Application", "ConfigMap", "VirtualService", "ServiceEntry")
    places = {kind: json.dumps(plane.request("GET", KINDS[kind].path())) for kind in kinds}
    places |= {path: manager.get(path)[1] for path in ("/metrics", "/readyz?verbose", "/livez")}
    places |= {"log": manager.text()}
    searched = {place: [*passwords, ADMIN_PASSWORD] for place in places}
    places["log of Postgres"], searched["log of Postgres"] = postgres.log(), passwords
    return [place for place, text in places.items() if any(one in text for one in searched[place])]


def paths(profile: str, classification: str = "unclassified") -> list[str]:
    """Return the paths of Application, Secret, ConfigMap, VirtualService and ServiceEntry."""
    names_by_kind = {
        "Secret": names.secret(classification),
        "ConfigMap": f"gitea-banner-{classification}",
        "VirtualService": names.virtual_service(classification),
        "ServiceEntry": names.service_entry(classification),
    }
    application = names.application(profile, classification)
    found = [KINDS["Application"].path(ARGOCD_NAMESPACE, application)]
    return [*found, *(KINDS[kind].path(profile, name) for kind, name in names_by_kind.items())]


def present(plane: ControlPlane, profile: str, classification: str = "unclassified") -> list[Json]:
    """Return the objects at these paths that exist."""
    found = (observe.find(plane, path) for path in paths(profile, classification))
    return [one for one in found if one is not None]


def versions(plane: ControlPlane, profile: str) -> list[str]:
    """Return the resourceVersion of each existing object of the profile."""
    return [one["metadata"]["resourceVersion"] for one in present(plane, profile)]


def stored_credentials(plane: ControlPlane, profile: str) -> DatabaseCredentials | None:
    """Return the credentials in the Secret."""
    found = observe.find(plane, paths(profile)[1])
    return accounts.parse_secret(found["data"], names.SECRET_KEY) if found else None


def wait_for(plane: ControlPlane, profile: str, status: str = "True", seconds: float = 60) -> None:
    """Wait until the condition has this status."""
    waiting.until(
        lambda: observe.condition_status(plane, profile, CONDITION) == status,
        f"{CONDITION} of {profile} is {status}",
        seconds=seconds,
    )


def opt_in(plane: ControlPlane, name: str) -> str:
    """Create a tenant that opts in, and wait until it is ready."""
    kubeflow.create_tenants(plane, [name], labels={LABEL: "true"})
    wait_for(plane, name)
    return name


def opens(postgres: Postgres, credentials: DatabaseCredentials | None, profile: str) -> bool:
    """Return whether the credentials open the profile's database."""
    assert credentials is not None
    try:
        postgres.login(credentials.user, credentials.password, names.database(profile)).close()
    except psycopg.OperationalError:
        return False
    return True
