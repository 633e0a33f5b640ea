"""Which volumes a profile should have: its own, and those of buckets that it may read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from controllers.blob_csi import names, observations
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.parse import Answer, Bucket
from controllers.blob_csi.grants.sources import Source, Storage
from controllers.blob_csi.volumes import Volume, differences, name_refusal
from controllers.findings import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Why a profile's own container cannot be used.

    ``after`` is in how many seconds to ask again; None: trying again will not help until a person
    changes something. ``warn``: a person is needed all the same.
    """

    reason: str
    message: str
    after: float | None = None
    warn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the controller knows besides the Profile. Without any, all is well and nothing is there.

    ``answers`` holds the last good answer of each source that ever gave one to this process;
    ``failing`` those that have given none for longer than a moment;
    ``withheld`` the instances, by name, whose container cannot be used. The rest is on the
    cluster: volumes by name, claims of the profile's namespace by name, and of each claim the pods
    that hold it.
    """

    answers: Mapping[Source, Answer] = field(default_factory=dict)
    failing: frozenset[Source] = frozenset()
    withheld: Mapping[str, Withheld] = field(default_factory=dict)
    volumes: Mapping[str, observations.Volume] = field(default_factory=dict)
    claims: Mapping[str, observations.Claim] = field(default_factory=dict)
    pods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    error: Exception | None = None
    """The Waiting of the storage accounts that did not respond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A volume that the profile should have.

    With a ``refusal``, or while it ``waits`` for an account that does not answer, it stays as it
    may be.
    """

    volume: Volume
    refusal: Finding | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """Everything that a profile should have; no volume's name twice."""

    wishes: tuple[Wish, ...]
    findings: tuple[Finding, ...]
    """What is odd about them beside what is refused."""


def granted(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Grants:
    """The profile's own containers, and the shared buckets that list it among their readers."""
    findings = [
        *_failing(namespace, facts, settings),
        *_writers_only(namespace, facts, settings),
    ]
    own = _platform(namespace, facts, settings)
    shared = _one_each(_shared(namespace, facts, settings), facts, findings)
    return Grants(wishes=tuple(_named(wish) for wish in (*own, *shared)), findings=tuple(findings))


def _failing(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Iterator[Finding]:
    """Told to those only who have something of the source: its trouble is the operator's."""
    for source in settings.storages:
        if source not in facts.failing:
            continue
        answer = facts.answers.get(source)
        if answer is None:
            prefix = names.shared_prefix(namespace, source.classification)
            concerned = any(name.startswith(prefix) for name in facts.volumes)
        else:
            concerned = any(namespace in bucket.readers for bucket in answer)
        if concerned:
            message = (
                f"{source.key}, which says who may use shared buckets, gives no good answer: what"
                " is there stays, and nothing of it is given or taken away until it does"
            )
            yield Finding(reason="SourceFailing", message=message, severity=Severity.NOTICE)


def _writers_only(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Iterator[Finding]:
    for source in settings.storages:
        for bucket in facts.answers.get(source, ()):
            if namespace in bucket.writers - bucket.readers:
                message = (
                    f"bucket {bucket.container!r} of {source.key} lists {namespace} as a writer"
                    " alone, which gives no access: expected it among the readers as well"
                )
                yield Finding(reason="WriterOnly", message=message, severity=Severity.NOTICE)


def _platform(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Iterator[Wish]:
    container = names.container_name(namespace)
    for instance in settings.instances:
        volume = Volume(
            name=names.platform_volume(namespace, instance.name),
            claim=names.platform_claim(instance.name),
            namespace=namespace,
            classification=instance.classification,
            read_only=instance.read_only,
            capacity=instance.capacity,
            secret=(instance.secret_ref.name, instance.secret_ref.namespace),
            attributes={"containerName": container or ""},
            mount_options=(*settings.mount_options, *(["-o ro"] if instance.read_only else [])),
        )
        refusal, withheld = None, facts.withheld.get(instance.name)
        if container is None:
            message = f"{namespace!r} has no letter or digit to call a container by"
            refusal = Finding(reason="NoContainer", message=message)
        elif withheld is not None and withheld.after is None:
            refusal = Finding(reason=withheld.reason, message=withheld.message)
        yield Wish(volume=volume, refusal=refusal, waits=withheld is not None)


def _shared(
    namespace: str, facts: Facts, settings: BlobCsiSettings
) -> Iterator[tuple[Source, Wish]]:
    for source, storage in settings.storages.items():
        for bucket in facts.answers.get(source, ()):
            if namespace in bucket.readers:
                yield source, _bucket_wish(namespace, source, storage, bucket, settings)


def _bucket_wish(
    namespace: str, source: Source, storage: Storage, bucket: Bucket, settings: BlobCsiSettings
) -> Wish:
    principal = names.principal_key(bucket.principal)
    client_id = storage.client_id or settings.client_ids.get(principal, "")
    by_principal = names.principal_secret(bucket.principal) if bucket.principal else ""
    secret = storage.secret or by_principal
    read_only = namespace not in bucket.writers
    subfolder = [observations.subfolder_option(bucket.subfolder)] if bucket.subfolder else []
    attributes = {
        "containerName": bucket.container,
        "storageAccount": storage.account,
        "resourceGroup": storage.resource_group,
        "AzureStorageAuthType": storage.auth_type,
        "AzureStorageSPNClientId": client_id,
        "AzureStorageSPNTenantId": storage.tenant_id,
        "AzureStorageAADEndpoint": storage.aad_endpoint,
        "protocol": "fuse2",
    }
    if not storage.aad_endpoint:
        del attributes["AzureStorageAADEndpoint"]
    volume = Volume(
        name=names.shared_volume(namespace, source.classification, bucket.volume),
        claim=names.shared_claim(source.classification, bucket.volume),
        namespace=namespace,
        classification=source.classification,
        read_only=read_only,
        capacity=storage.capacity,
        secret=(secret, storage.secret_namespace),
        attributes=attributes,
        mount_options=(
            *settings.mount_options,
            *(["-o ro"] if read_only else []),
            *subfolder,
            "--use-adls=true",
        ),
    )
    refusal = None
    if not (client_id and secret):
        message = (
            f"bucket {bucket.container!r} of {source.key}: no client id of service principal"
            f" {bucket.principal!r} is configured: expected spn_client_ids to have it"
        )
        refusal = Finding(reason="UnknownPrincipal", message=message)
    return Wish(volume=volume, refusal=refusal)


def _one_each(
    shared: Iterable[tuple[Source, Wish]], facts: Facts, findings: list[Finding]
) -> list[Wish]:
    """Of those that claim one name, the one that has it on the cluster, else the first.

    The others are refused in ``findings``: the volume of their name stands for another bucket.
    """
    rivals: dict[str, list[tuple[Source, Wish]]] = {}
    for source, wish in shared:
        rivals.setdefault(wish.volume.name, []).append((source, wish))
    chosen = []
    for name, claimed in rivals.items():
        have = facts.volumes.get(name)
        there = [one for one in claimed if have and not any(differences(one[1].volume, have))]
        first, wish = (there or claimed)[0]
        chosen.append(wish)
        findings += (_rival(other, source, first) for source, other in claimed if other is not wish)
    return chosen


def _rival(wish: Wish, source: Source, first: Source) -> Finding:
    bucket = wish.volume.attributes["containerName"]
    message = (
        f"bucket {bucket!r} of {source.key} is refused: PersistentVolume {wish.volume.name} is that"
        f" of a bucket of {first.key}; expected a name of its own"
    )
    return Finding(reason="DuplicateVolume", message=message)


def _named(wish: Wish) -> Wish:
    why = name_refusal(wish.volume)
    if wish.refusal or wish.waits or why is None:
        return wish
    return Wish(volume=wish.volume, refusal=Finding(reason="InvalidName", message=why))
