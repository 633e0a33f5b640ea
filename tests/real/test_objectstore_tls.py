"""A store behind TLS with a private CA, which all clients must trust."""

from pathlib import Path

import pytest

from controllers.pipelines.objectstore.spec import Credentials
from controllers.runtime.external.errors import ExternalError
from tests.support.controlplane import certificates
from tests.support.http.counting_proxy import CountingProxy
from tests.support.objectstore.accounts import StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS


async def test_all_clients_of_the_store_trust_only_the_configured_ca_bundle(
    seaweedfs: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificates.create(tmp_path)
    inner = [int(url.rpartition(":")[2]) for url in (seaweedfs.s3_url, seaweedfs.iam_url)]
    s3, iam = (
        CountingProxy(port, certificate=files.serving_certificate, key=files.serving_key)
        for port in inner
    )
    with s3, iam:
        tenant = StoreTenant.create(seaweedfs, "tls")
        tenant.reconnect(
            s3_endpoint=f"https://127.0.0.1:{s3.port}",
            iam_endpoint=f"https://127.0.0.1:{iam.port}",
        )
        with pytest.raises(ExternalError, match="SSL"):
            await tenant.ensure_key()
        await tenant.store.close()

        monkeypatch.setenv("AWS_CA_BUNDLE", str(files.ca))
        tenant.reconnect()
        key = await tenant.ensure_key()
        assert isinstance(key, Credentials)
        tenant.wait_until_known(key)
        # The key checker connects as well.
        assert key == await tenant.ensure_key()
        assert tenant.keys == [key.access_key]
        await tenant.store.close()
