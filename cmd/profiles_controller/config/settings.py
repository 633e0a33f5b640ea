"""The settings that are the same for every controller: what is accepted, and what they become.

Durations are in seconds unless a name says otherwise. Controllers' own settings are their models.
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

from controllers.runtime.options import Connection, Election, Options, Shard
from profiles_controller.cli.options import Flag, spelling
from profiles_controller.config import types

PREFIX = "PROFILES_CONTROLLER_"
SECTION = "common"
# Where Kubernetes tells a pod its namespace (documented under "Accessing the API from a Pod").
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_JITTER = 1.2  # kubernetes.aio.leaderelection's: it refuses a deadline that leaves no second try
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SECONDS = "seconds, or a duration such as 15s"
_SWITCH = "true or false"


Number = BeforeValidator(types.refuse_boolean)
Duration = Annotated[float, BeforeValidator(types.read_duration)]


class Common(BaseModel):
    """The options of every running command, in the order of --help."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    kubeconfig: Annotated[
        Path | None,
        Flag(
            help="Kubeconfig to connect with.",
            accepts="a file's path",
            metavar="FILE",
            default="the pod's own service account",
        ),
    ] = Field(default=None, validation_alias=AliasChoices("KUBECONFIG"))
    context: Annotated[
        str | None,
        Flag(
            help="Context of the kubeconfig.",
            accepts="a context's name",
            metavar="NAME",
            default="the current one",
        ),
    ] = None
    listen: Annotated[
        tuple[str, int] | None,
        NoDecode,
        BeforeValidator(types.read_listen),
        Flag(
            help="Where probes and metrics are served; 0 serves none.",
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
            help="Profiles reconciled at once, per controller.",
            accepts="a whole number from 1 to 1024",
            metavar="N",
        ),
    ] = 16
    max_writes: Annotated[
        int,
        Number,
        Field(ge=1, le=1024),
        Flag(
            help="Writing requests in flight at once.",
            accepts="a whole number from 1 to 1024",
            metavar="N",
        ),
    ] = 16
    qps: Annotated[
        float,
        Number,
        Field(ge=0, allow_inf_nan=False),
        Flag(
            help="Writing requests per second; 0 is no limit.",
            accepts="a number of 0 or more",
            metavar="N",
        ),
    ] = 0.0
    resync: Annotated[
        float,
        Number,
        Field(gt=0, allow_inf_nan=False),
        Flag(
            help="Look at every profile again this often.",
            accepts="minutes, a number above 0",
            metavar="MINUTES",
        ),
    ] = Field(default=10.0, validation_alias=AliasChoices("REQUEUE_TIME"))
    log_format: Annotated[
        Literal["json", "console"],
        BeforeValidator(types.read_word),
        Flag(
            help="How logs are written, on standard error.",
            accepts="json or console",
            metavar="json|console",
        ),
    ] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(types.read_word),
        Flag(
            help="What is logged.",
            accepts="debug, info, warning or error",
            metavar="debug|info|warning|error",
        ),
    ] = "info"
    dry_run: Annotated[bool, Flag(help="Plan and report, write nothing.", accepts=_SWITCH)] = False
    once: Annotated[
        bool, Flag(help="Reconcile every profile once, print a summary, exit.", accepts=_SWITCH)
    ] = False
    output: Annotated[
        Literal["table", "json", "yaml"],
        BeforeValidator(types.read_word),
        Flag(
            help="How a summary or difference is printed.",
            accepts="table, json or yaml",
            metavar="table|json|yaml",
            short="-o",
        ),
    ] = "table"
    leader_elect: Annotated[
        bool, Flag(help="Work only while holding the Lease.", accepts=_SWITCH)
    ] = False
    leader_elect_namespace: Annotated[
        str | None,
        Field(pattern=_LABEL),
        Flag(
            help="Namespace of the Lease.",
            accepts="a namespace's name",
            metavar="NAME",
            default="the pod's own",
        ),
    ] = None
    leader_elect_identity: Annotated[
        str | None,
        Field(min_length=1, max_length=253),
        Flag(
            help="Who holds the Lease; different in every process.",
            accepts="a name of 1 to 253 characters",
            metavar="NAME",
            default="the host's name and a UUID",
        ),
    ] = None
    lease_duration: Annotated[
        Duration,
        Flag(
            help="A Lease that was not renewed for this long is free.",
            accepts=_SECONDS,
            metavar="SECONDS",
        ),
    ] = 15.0
    renew_deadline: Annotated[
        Duration,
        Flag(
            help="A leader that could not renew for this long stops.",
            accepts=_SECONDS,
            metavar="SECONDS",
        ),
    ] = 10.0
    retry_period: Annotated[
        Duration,
        Flag(
            help="Between attempts to get or renew the Lease.", accepts=_SECONDS, metavar="SECONDS"
        ),
    ] = 2.0
    shard: Annotated[
        Shard,
        NoDecode,
        BeforeValidator(types.read_shard),
        Flag(
            help="Serve part i of n of all profiles, by their UIDs.",
            accepts=types.SHARD_ACCEPTS,
            metavar="i/n",
            default="0/1",
        ),
    ] = Field(default=Shard(), validate_default=False)
    allow_adopted_namespaces: Annotated[
        bool,
        Flag(help="Serve namespaces that are older than their Profile.", accepts=_SWITCH),
    ] = False  # fmt: skip

    @field_validator("renew_deadline", "retry_period")
    @classmethod
    def _leaves_time(cls, value: float, info: ValidationInfo) -> float:
        if info.field_name == "renew_deadline":
            before, share = "lease_duration", 1.0
        else:
            before, share = "renew_deadline", _JITTER
        limit = info.data.get(before)
        if limit is not None and value * share >= limit:
            raise ValueError(f"less than {limit / share:.4g}, as {spelling(before)} is {limit:g}")
        return value

    def connection(self) -> Connection:
        """Which API server."""
        return Connection(kubeconfig=self.kubeconfig, context=self.context)

    def options(self, *, namespace: str | None, known: Iterable[str] = ()) -> Options:
        """How to run.

        ``namespace`` is the pod's own, where there is one, for the Lease; ``known`` are the names
        of all controllers there are.
        """
        return Options(
            listen=self.listen,
            workers=self.workers,
            max_writes=self.max_writes,
            qps=self.qps or None,
            resync=self.resync * 60,
            dry_run=self.dry_run,
            shard=self.shard,
            election=self._election(namespace),
            adopted_namespaces=self.allow_adopted_namespaces,
            known=frozenset(known),
        )

    def _election(self, namespace: str | None) -> Election | None:
        where = self.leader_elect_namespace or namespace
        if not self.leader_elect or where is None:
            return None
        return Election(
            namespace=where,
            identity=self.leader_elect_identity or f"{socket.gethostname()}_{uuid.uuid4()}",
            lease_duration=self.lease_duration,
            renew_deadline=self.renew_deadline,
            retry_period=self.retry_period,
        )
