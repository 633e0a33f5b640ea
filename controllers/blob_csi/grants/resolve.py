"""Which volumes a profile should have: its own containers, and the buckets it can read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from controllers.blob_csi import names, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Facts
from controllers.blob_csi.grants.parse import Bucket
from controllers.blob_csi.grants.sources import Source, StorageParameters
from controllers.blob_csi.volumes import VolumeSpec
from controllers.findings import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredVolume:
    """A volume that the profile should have.

    With a ``refusal``, or while it ``waits`` for its storage account, the volume is neither created
    nor changed, and an existing one is retained.
    """

    spec: VolumeSpec
    refusal: Finding | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """All volumes that a profile should have; each name occurs once."""

    volumes: tuple[DesiredVolume, ...]
    findings: tuple[Finding, ...]
    """Findings about the grants, without the refusals of single volumes."""


def resolve(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Resolution:
    """Return the platform volumes of the profile, and those of the buckets it is a reader of."""
    findings = [
        *_failing_sources(namespace, facts, settings),
        *_writers_without_read(namespace, facts, settings),
    ]
    platform = _platform(namespace, facts, settings)
    shared = _unique_names(_shared(namespace, facts, settings), facts, findings)
    found = tuple(_validate_names(one) for one in (*platform, *shared))
    return Resolution(volumes=found, findings=tuple(findings))


def volume_names(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Iterator[str]:
    """Yield the names of the volumes that ``resolve`` returns; a name can occur twice."""
    for instance in settings.instances:
        yield names.platform_volume_name(namespace, instance.name)
    for source in settings.sources:
        for bucket in facts.buckets.get(source, ()):
            if namespace in bucket.readers:
                yield names.shared_volume_name(namespace, source.classification, bucket.volume)


def _failing_sources(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Iterator[Finding]:
    """Yield a finding only for profiles that use the source: the operator has the metrics."""
    for source in settings.sources:
        if source not in facts.failing:
            continue
        buckets = facts.buckets.get(source)
        if buckets is None:
            prefix = names.shared_volume_prefix(namespace, source.classification)
            is_affected = any(name.startswith(prefix) for name in facts.volumes)
        else:
            is_affected = any(namespace in bucket.readers for bucket in buckets)
        if is_affected:
            message = (
                f"{source.name}, a source of shared buckets, has no valid response; its existing"
                " volumes are unchanged, and access is neither granted nor removed until the source"
                " recovers"
            )
            yield Finding(reason="BucketSourceFailing", message=message, severity=Severity.NOTICE)


def _writers_without_read(
    namespace: str, facts: Facts, settings: BlobCsiSettings
) -> Iterator[Finding]:
    for source in settings.sources:
        for bucket in facts.buckets.get(source, ()):
            if namespace in bucket.writers - bucket.readers:
                message = (
                    f"bucket {bucket.container!r} of {source.name} lists {namespace} as a writer"
                    " but not as a reader, which gives no access; add it to the readers"
                )
                yield Finding(reason="WriterWithoutRead", message=message, severity=Severity.NOTICE)


def _platform(namespace: str, facts: Facts, settings: BlobCsiSettings) -> Iterator[DesiredVolume]:
    container = names.container_name(namespace)
    for instance in settings.instances:
        spec = VolumeSpec(
            name=names.platform_volume_name(namespace, instance.name),
            claim=names.platform_claim_name(instance.name),
            namespace=namespace,
            classification=instance.classification,
            read_only=instance.read_only,
            capacity=instance.capacity,
            secret=(instance.secret_ref.name, instance.secret_ref.namespace),
            attributes={"containerName": container or ""},
            mount_options=(*settings.mount_options, *(["-o ro"] if instance.read_only else [])),
        )
        refusal, unavailable = None, facts.unavailable.get(instance.name)
        if container is None:
            message = (
                f"profile name {namespace!r} has no letter or digit, so no container name can be"
                " derived from it; use another profile name"
            )
            refusal = Finding(reason="InvalidContainerName", message=message)
        elif unavailable is not None and unavailable.retry_after is None:
            refusal = Finding(reason=unavailable.reason, message=unavailable.message)
        yield DesiredVolume(spec=spec, refusal=refusal, waits=unavailable is not None)


def _shared(
    namespace: str, facts: Facts, settings: BlobCsiSettings
) -> Iterator[tuple[Source, DesiredVolume]]:
    for source, parameters in settings.sources.items():
        for bucket in facts.buckets.get(source, ()):
            if namespace in bucket.readers:
                yield source, _bucket_volume(namespace, source, parameters, bucket, settings)


def _bucket_volume(
    namespace: str,
    source: Source,
    parameters: StorageParameters,
    bucket: Bucket,
    settings: BlobCsiSettings,
) -> DesiredVolume:
    principal = names.client_id_key(bucket.principal)
    client_id = parameters.client_id or settings.client_ids.get(principal, "")
    by_principal = names.principal_secret_name(bucket.principal) if bucket.principal else ""
    secret = parameters.secret or by_principal
    read_only = namespace not in bucket.writers
    subfolder = [volumes.subfolder_option(bucket.subfolder)] if bucket.subfolder else []
    attributes = {
        "containerName": bucket.container,
        "storageAccount": parameters.account,
        "resourceGroup": parameters.resource_group,
        "AzureStorageAuthType": parameters.auth_type,
        "AzureStorageSPNClientId": client_id,
        "AzureStorageSPNTenantId": parameters.tenant_id,
        "AzureStorageAADEndpoint": parameters.aad_endpoint,
        "protocol": "fuse2",
    }
    if not parameters.aad_endpoint:
        del attributes["AzureStorageAADEndpoint"]
    spec = VolumeSpec(
        name=names.shared_volume_name(namespace, source.classification, bucket.volume),
        claim=names.shared_claim_name(source.classification, bucket.volume),
        namespace=namespace,
        classification=source.classification,
        read_only=read_only,
        capacity=parameters.capacity,
        secret=(secret, parameters.secret_namespace),
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
            f"bucket {bucket.container!r} of {source.name}: service principal"
            f" {bucket.principal!r} has no client id; add it to the setting spn_client_ids"
        )
        refusal = Finding(reason="UnknownServicePrincipal", message=message)
    return DesiredVolume(spec=spec, refusal=refusal)


def _unique_names(
    shared: Iterable[tuple[Source, DesiredVolume]], facts: Facts, findings: list[Finding]
) -> list[DesiredVolume]:
    """Select one volume of each name: the one that exists on the cluster, else the first.

    Each other one adds a finding. It must not count as refused: the volume with its name belongs to
    another bucket.
    """
    by_name: dict[str, list[tuple[Source, DesiredVolume]]] = {}
    for source, volume in shared:
        by_name.setdefault(volume.spec.name, []).append((source, volume))
    selected = []
    for name, candidates in by_name.items():
        observed = facts.volumes.get(name)
        existing = [
            one
            for one in candidates
            if observed and not any(volumes.differences(one[1].spec, observed))
        ]
        winner, volume = (existing or candidates)[0]
        selected.append(volume)
        findings += (
            _name_conflict(other, source, winner)
            for source, other in candidates
            if other is not volume
        )
    return selected


def _name_conflict(volume: DesiredVolume, source: Source, winner: Source) -> Finding:
    bucket = volume.spec.attributes["containerName"]
    message = (
        f"bucket {bucket!r} of {source.name} is not mounted: PersistentVolume {volume.spec.name}"
        f" belongs to a bucket of {winner.name}; give the bucket another volume name"
    )
    return Finding(reason="VolumeNameConflict", message=message)


def _validate_names(volume: DesiredVolume) -> DesiredVolume:
    error = volumes.name_error(volume.spec)
    if volume.refusal or volume.waits or error is None:
        return volume
    return replace(volume, refusal=Finding(reason="InvalidVolumeName", message=error))
