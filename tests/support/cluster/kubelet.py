"""Runs the container of a Deployment as a process, as a kubelet would.

Arguments, variables, mounted files and the token of the ServiceAccount are those of the manifest.
Only the port and the folder of the mounted files differ.
"""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.support.cluster.manager_process import HOST, PROGRAM, ManagerProcess, environment
from tests.support.controlplane import ControlPlane, Json, ports, processes


class Kubelet:
    """A context manager that stops the processes it started."""

    def __init__(self, plane: ControlPlane, workdir: Path) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self._plane = plane
        self._workdir = workdir
        self._group = processes.Group(workdir)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._group.stop()

    def start(self, deployment: Json) -> ManagerProcess:
        """Starts the only container of a Deployment in the cluster."""
        name = deployment["metadata"]["name"]
        namespace = deployment["metadata"]["namespace"]
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        mounts = self._mounts(namespace, pod, container)
        port = ports.free()
        given = {
            **dict(self._variables(namespace, container)),
            "PROFILES_CONTROLLER_KUBECONFIG": str(self._kubeconfig(namespace, pod)),
            "PROFILES_CONTROLLER_LISTEN": f"{HOST}:{port}",
        }
        arguments = [with_folder(one, mounts) for one in container["args"]]
        variables = (f"{key}={value}" for key, value in environment(**given).items())
        command = ("env", "-i", *variables, sys.executable, "-m", PROGRAM, *arguments)
        process = self._group.start(name, command)
        return ManagerProcess(process, self._workdir / f"{name}.log", port)

    def _kubeconfig(self, namespace: str, pod: Json) -> Path:
        """The kubeconfig of the ServiceAccount, which must exist and be mounted."""
        account = pod["serviceAccountName"]
        assert self._plane.get("ServiceAccount", account, namespace)
        assert pod["automountServiceAccountToken"]
        return self._plane.service_account_kubeconfig(namespace, account)

    def _mounts(self, namespace: str, pod: Json, container: Json) -> dict[str, Path]:
        """The folder of each mount path."""
        volumes = {one["name"]: one for one in pod["volumes"]}
        found = {}
        for mount in container["volumeMounts"]:
            folder = self._workdir / namespace / pod["serviceAccountName"] / mount["name"]
            folder.mkdir(parents=True)
            found[mount["mountPath"]] = folder
            source = volumes[mount["name"]].get("configMap")
            data = self._plane.get("ConfigMap", source["name"], namespace)["data"] if source else {}
            for file, text in data.items():
                (folder / file).write_text(text)
        return found

    def _variables(self, namespace: str, container: Json) -> Iterator[tuple[str, str]]:
        for source in container.get("envFrom", ()):
            kind, reference = next((kind, one) for kind, one in source.items() if kind != "prefix")
            yield from self._data(namespace, kind, reference["name"]).items()
        for one in container.get("env", ()):
            if "value" in one:
                yield one["name"], one["value"]
            else:
                ((kind, reference),) = one["valueFrom"].items()
                yield one["name"], self._data(namespace, kind, reference["name"])[reference["key"]]

    def _data(self, namespace: str, kind: str, name: str) -> dict[str, str]:
        if kind.startswith("configMap"):
            return dict(self._plane.get("ConfigMap", name, namespace)["data"])
        data = self._plane.get("Secret", name, namespace)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}


def with_folder(argument: str, mounts: dict[str, Path]) -> str:
    """`--flag=PATH`, with the folder of the mount path."""
    flag, equals, value = argument.partition("=")
    for path, folder in mounts.items():
        if value.startswith(f"{path}/"):
            return f"{flag}{equals}{folder}{value.removeprefix(path)}"
    return argument
