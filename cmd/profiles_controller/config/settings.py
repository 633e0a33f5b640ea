"""Settings that are common to all controllers, and the launch settings that precede them.

Durations are in seconds unless a name states otherwise. Each controller has a model of its own
settings.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import NoDecode

from controllers.runtime.options import Connection, LeaderElectionConfig, Options, Shard
from profiles_controller.config import types
from profiles_controller.config.flags import Flag, flag_name

PREFIX = "PROFILES_CONTROLLER_"
SECTION = "common"
# Kubernetes mounts the namespace of a pod here (documented under "Accessing the API from a Pod").
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_JITTER = 1.2  # of kubernetes.aio.leaderelection, which rejects a deadline without a second attempt
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SECONDS = "seconds, or a duration such as 15s"
_BOOLEAN = "true or false"


Number = BeforeValidator(types.reject_boolean)
Duration = Annotated[float, BeforeValidator(types.parse_duration)]


class LaunchSettings(BaseModel):
    """Settings that are needed before the ``--config`` file is read, so it cannot contain them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: Annotated[
        Path | None,
        Flag(
            help="YAML file of settings: a section 'common' and one per controller.",
            accepts="the path of a file",
            metavar="FILE",
            default="none",
        ),
    ] = None


class LaunchAllSettings(LaunchSettings):
    """Launch settings of the command ``all``, which also selects controllers."""

    only: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(types.parse_names),
        Flag(
            help="Run only these controllers.",
            accepts="names of controllers",
            metavar="NAME[,NAME...]",
            default="all",
        ),
    ] = ()


class CommonSettings(BaseModel):
    """Settings that every controller has, in the order of ``--help``."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    kubeconfig: Annotated[
        Path | None,
        Flag(
            help="Kubeconfig file.",
            accepts="the path of a file",
            metavar="FILE",
            default="the service account of the pod",
        ),
    ] = Field(default=None, validation_alias=AliasChoices("KUBECONFIG"))
    context: Annotated[
        str | None,
        Flag(
            help="Context of the kubeconfig.",
            accepts="the name of a context",
            metavar="NAME",
            default="the current context",
        ),
    ] = None
    listen: Annotated[
        tuple[str, int] | None,
        NoDecode,
        BeforeValidator(types.parse_listen),
        Flag(
            help="Address of probes and metrics; 0 disables them.",
            accepts=types.LISTEN_ACCEPTS,
            metavar="HOST:PORT",
            default=":8080",
        ),
    ] = Field(default=("", 8080), validate_default=False)
    workers: Annotated[
        int,
        Number,
        Field(ge=1, le=1024),
        Flag(
            help="Concurrent reconciles per controller.",
            accepts="a whole number from 1 to 1024",
            metavar="N",
        ),
    ] = 16
    max_writes: Annotated[
        int,
        Number,
        Field(ge=1, le=1024),
        Flag(
            help="Concurrent write requests.",
            accepts="a whole number from 1 to 1024",
            metavar="N",
        ),
    ] = 16
    qps: Annotated[
        float,
        Number,
        Field(ge=0, allow_inf_nan=False),
        Flag(
            help="Write requests per second; 0 means unlimited.",
            accepts="a number of 0 or more",
            metavar="N",
        ),
    ] = 0.0
    resync: Annotated[
        float,
        Number,
        Field(gt=0, allow_inf_nan=False),
        Flag(
            help="Interval between reconciles of every profile.",
            accepts="a number of minutes above 0",
            metavar="MINUTES",
        ),
    ] = Field(default=10.0, validation_alias=AliasChoices("REQUEUE_TIME"))
    log_format: Annotated[
        Literal["json", "console"],
        BeforeValidator(types.parse_word),
        Flag(
            help="Format of logs on standard error.",
            accepts="json or console",
            metavar="json|console",
        ),
    ] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(types.parse_word),
        Flag(
            help="Minimum level of logs.",
            accepts="debug, info, warning or error",
            metavar="debug|info|warning|error",
        ),
    ] = "info"
    dry_run: Annotated[
        bool, Flag(help="Plan and log changes; write nothing.", accepts=_BOOLEAN)
    ] = False
    once: Annotated[
        bool, Flag(help="Reconcile every profile once, print the results, exit.", accepts=_BOOLEAN)
    ] = False
    output: Annotated[
        Literal["table", "wide", "json", "yaml"],
        BeforeValidator(types.parse_word),
        Flag(
            help="Output format of --once and diff.",
            accepts="table, wide, json or yaml",
            metavar="table|wide|json|yaml",
            short="-o",
        ),
    ] = "table"
    leader_elect: Annotated[
        bool, Flag(help="Reconcile only while holding the Lease.", accepts=_BOOLEAN)
    ] = False
    leader_elect_namespace: Annotated[
        str | None,
        Field(pattern=_LABEL),
        Flag(
            help="Namespace of the Lease.",
            accepts="the name of a namespace",
            metavar="NAME",
            default="the namespace of the pod",
        ),
    ] = None
    leader_elect_identity: Annotated[
        str | None,
        Field(min_length=1, max_length=253),
        Flag(
            help="Holder identity in the Lease; unique per process.",
            accepts="a name of 1 to 253 characters",
            metavar="NAME",
            default="the host name and a UUID",
        ),
    ] = None
    lease_duration: Annotated[
        Duration,
        Flag(
            help="Time after which an unrenewed Lease expires.",
            accepts=_SECONDS,
            metavar="SECONDS",
        ),
    ] = 15.0
    renew_deadline: Annotated[
        Duration,
        Flag(
            help="Time after which a leader that cannot renew stops.",
            accepts=_SECONDS,
            metavar="SECONDS",
        ),
    ] = 10.0
    retry_period: Annotated[
        Duration,
        Flag(
            help="Time between attempts to acquire or renew the Lease.",
            accepts=_SECONDS,
            metavar="SECONDS",
        ),
    ] = 2.0
    shard: Annotated[
        Shard,
        NoDecode,
        BeforeValidator(types.parse_shard),
        Flag(
            help="Reconcile shard i of n; a hash of the UID assigns profiles.",
            accepts=types.SHARD_ACCEPTS,
            metavar="i/n",
            default="0/1",
        ),
    ] = Field(default=Shard(), validate_default=False)
    allow_adopted_namespaces: Annotated[
        bool,
        Flag(help="Accept namespaces that are older than their Profile.", accepts=_BOOLEAN),
    ] = False  # fmt: skip

    @field_validator("renew_deadline", "retry_period")
    @classmethod
    def _below_longer_period(cls, value: float, info: ValidationInfo) -> float:
        if info.field_name == "renew_deadline":
            longer, factor = "lease_duration", 1.0
        else:
            longer, factor = "renew_deadline", _JITTER
        limit = info.data.get(longer)
        if limit is not None and value * factor >= limit:
            bound = f"{limit / factor:.4g}"
            raise ValueError(f"less than {bound}, because {flag_name(longer)} is {limit:g}")
        return value

    def connection(self) -> Connection:
        """Returns how to connect to the API server."""
        return Connection(kubeconfig=self.kubeconfig, context=self.context)

    def options(self, *, namespace: str | None, known: Iterable[str] = ()) -> Options:
        """Returns the options of the runtime.

        ``namespace`` is the namespace of the pod, which is the default for the Lease. ``known`` are
        the names of all controllers.
        """
        return Options(
            listen=self.listen,
            workers=self.workers,
            max_writes=self.max_writes,
            qps=self.qps or None,
            resync=self.resync * 60,
            dry_run=self.dry_run,
            shard=self.shard,
            leader_election=self._election(namespace),
            adopted_namespaces=self.allow_adopted_namespaces,
            controller_names=frozenset(known),
        )

    def _election(self, pod_namespace: str | None) -> LeaderElectionConfig | None:
        namespace = self.leader_elect_namespace or pod_namespace
        if not self.leader_elect or namespace is None:
            return None
        return LeaderElectionConfig(
            namespace=namespace,
            identity=self.leader_elect_identity or f"{socket.gethostname()}_{uuid.uuid4()}",
            lease_duration=self.lease_duration,
            renew_deadline=self.renew_deadline,
            retry_period=self.retry_period,
        )
