"""A control plane: etcd, an API server and optionally the controller manager.

Several can run at the same time, each with its own ports, keys and data. An API server is ready in
about three seconds and uses 300 MB.
"""

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.support.cluster import waiting
from tests.support.controlplane import certificates, ports, processes, programs
from tests.support.controlplane.client import Client, Json, StatusError

READY_SECONDS = 60.0
TOKEN_SECONDS = 24 * 3600
HOST = "127.0.0.1"
ADMIN = "admin"
# The controllers whose effects are tested. The others would only use processor time.
CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "resourcequota-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
)
# Without the requests of the control plane itself.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager"]},
        {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/metrics"]},
        {"level": "Metadata"},
    ],
}


class ControlPlane:
    """The running programs, and a client of the administrator. `start` creates it."""

    url: str
    ca_file: Path
    admin_token: str
    kubeconfig: Path
    audit_log: Path

    def __init__(
        self, workdir: Path, server: programs.Server, apiserver_args: Sequence[str], port: int
    ) -> None:
        self._workdir = workdir
        self._server = server
        self._extra_apiserver_args = tuple(apiserver_args)
        self._port = port
        self._etcd_port = ports.free()
        self._etcd_data = workdir / "etcd"
        self._files = certificates.create(workdir)
        self._group = processes.Group(workdir)
        self._apiserver: subprocess.Popen[bytes] | None = None
        self._manager_token = secrets.token_hex(16)
        self.url = f"https://{HOST}:{port}"
        self.ca_file = self._files.ca
        self.admin_token = secrets.token_hex(16)
        self.audit_log = workdir / "audit.log"
        self.client = Client(url=self.url, ca_file=self.ca_file, token=self.admin_token)
        self.kubeconfig = self.kubeconfig_for(ADMIN, self.admin_token)

    @property
    def etcd_url(self) -> str:
        """The URL of etcd's client endpoint."""
        return f"http://{HOST}:{self._etcd_port}"

    @classmethod
    def start(
        cls,
        workdir: Path,
        *,
        controller_manager: bool = False,
        audit: bool = False,
        extra_apiserver_args: Sequence[str] = (),
        server: programs.Server | None = None,
    ) -> Self:
        """Starts a control plane; returns when the API server is ready.

        `workdir` is created if missing. It gets logs, keys and data. With `audit` every request
        of tests and controllers is a line in `audit_log`. Raises PartMissingError when the
        programs are not available, ChildFailedError with the end of the log when one fails.
        """
        server = server or programs.ensure_server()
        workdir.mkdir(parents=True, exist_ok=True)
        audit_args = audit_arguments(workdir) if audit else ()
        plane = cls(workdir, server, (*audit_args, *extra_apiserver_args), ports.free())
        try:
            plane._start_etcd()
            plane.start_apiserver()
            if controller_manager:
                plane._start_controller_manager()
        except BaseException:
            plane.stop()
            raise
        return plane

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # The programs

    def start_apiserver(self) -> None:
        """Starts the API server on the same port and data; returns when /readyz is ok."""
        self._write_tokens()
        self._apiserver = self._group.start("kube-apiserver", self._apiserver_command())
        self._await_ready(self._apiserver)

    def kill_apiserver(self) -> None:
        """Kills the API server. `start_apiserver` starts it again."""
        if self._apiserver is None:
            raise RuntimeError("the API server is not running")
        self._apiserver.kill()
        self._apiserver.wait()
        self._apiserver = None

    def detach(self) -> int:
        """Lets the programs outlive this process; returns their process group."""
        self.client.close()
        self._group.detach()
        return self.process_group

    @property
    def process_group(self) -> int:
        """The process group of the programs of this control plane."""
        return self._group.group_id

    def stop(self) -> None:
        """Stops the programs and deletes the data, but not the logs. May be repeated."""
        self.client.close()
        self._group.stop()
        shutil.rmtree(self._etcd_data, ignore_errors=True)

    def _start_etcd(self) -> None:
        url = self.etcd_url
        self._group.start(
            "etcd",
            [
                self._server.etcd,
                f"--data-dir={self._etcd_data}",
                f"--listen-client-urls={url}",
                f"--advertise-client-urls={url}",
                f"--listen-peer-urls=http://{HOST}:0",
                "--unsafe-no-fsync",
                "--quota-backend-bytes=8589934592",
                "--log-level=warn",
            ],
        )

    def _apiserver_command(self) -> list[str | Path]:
        return [
            self._server.apiserver,
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            f"--secure-port={self._port}",
            f"--etcd-servers={self.etcd_url}",
            f"--tls-cert-file={self._files.serving_certificate}",
            f"--tls-private-key-file={self._files.serving_key}",
            f"--token-auth-file={self._workdir / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._files.service_account_key}",
            f"--service-account-signing-key-file={self._files.service_account_key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            *self._extra_apiserver_args,
        ]

    def _start_controller_manager(self) -> None:
        kubeconfig = self.kubeconfig_for("kube-controller-manager", self._manager_token)
        self._group.start(
            "kube-controller-manager",
            [
                programs.ensure_controller_manager(),
                f"--kubeconfig={kubeconfig}",
                f"--controllers={','.join(CONTROLLERS)}",
                f"--service-account-private-key-file={self._files.service_account_key}",
                f"--root-ca-file={self.ca_file}",
                "--secure-port=0",
                "--leader-elect=false",
                "--kube-api-qps=1000",
                "--kube-api-burst=1000",
            ],
        )

    def _write_tokens(self) -> None:
        masters = "system:masters"
        rows = (
            f"{self.admin_token},{ADMIN},{ADMIN},{masters}\n",
            f"{self._manager_token},system:kube-controller-manager,manager,{masters}\n",
        )
        tokens = self._workdir / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("".join(rows))

    def _await_ready(self, apiserver: subprocess.Popen[bytes]) -> None:
        def is_ready() -> bool:
            if apiserver.poll() is not None:
                words = self._group.last_words("kube-apiserver")
                raise processes.ChildFailedError(f"kube-apiserver ended:\n{words}")
            try:
                return self.client.text("GET", "/readyz") == "ok"
            except (OSError, StatusError):
                return False

        waiting.until(is_ready, "the API server is ready", seconds=READY_SECONDS, pause=0.02)

    # Identities

    def kubeconfig_for(self, name: str, token: str) -> Path:
        """Writes a kubeconfig whose only context `name` uses this token."""
        path = self._workdir / f"{name}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": "control-plane", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": "control-plane", "user": name}}],
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        return path

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """The kubeconfig of a ServiceAccount, which is created with its namespace if missing.

        The name of its context and file is `<namespace>-<name>`.
        """
        account = {"namespace": namespace, "name": name}
        self._create_if_missing(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
        self._create_if_missing({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        token = self.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {"spec": {"expirationSeconds": TOKEN_SECONDS}},
        )
        return self.kubeconfig_for(f"{namespace}-{name}", token["status"]["token"])

    def _create_if_missing(self, manifest: Json) -> None:
        try:
            self.request("POST", self.client.collection(manifest), manifest)
        except StatusError as error:
            if error.body.get("reason") != "AlreadyExists":
                raise

    # Requests of the administrator

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """The response of the API server. Raises StatusError, or OSError when it is not running."""
        return self.client.request(method, path, body, content_type)

    def apply(self, *manifests: Json) -> None:
        """Creates each object, or replaces an object of the same name."""
        for manifest in manifests:
            self.client.apply(manifest)

    def get(self, kind: str, name: str, namespace: str = "", version: str = "v1") -> Json:
        """The object of this kind and name. Raises StatusError 404 when it does not exist."""
        metadata = {"name": name, "namespace": namespace}
        manifest = {"apiVersion": version, "kind": kind, "metadata": metadata}
        return self.request("GET", self.client.path(manifest))

    def metrics(self) -> str:
        """The metrics of the API server, as Prometheus text."""
        return self.client.text("GET", "/metrics")

    def audit_events(self) -> Iterator[Json]:
        """The events of the audit log. A watch has one at its start and one at its end."""
        for line in self.audit_log.read_text().splitlines():
            yield json.loads(line)


def audit_arguments(workdir: Path) -> tuple[str, ...]:
    policy = workdir / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    return (f"--audit-policy-file={policy}", f"--audit-log-path={workdir / 'audit.log'}")
