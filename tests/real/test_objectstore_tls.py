"""A store behind TLS with a certificate of one's own: everybody who asks it has to trust that."""

from pathlib import Path

import pytest

from controllers.pipelines.objectstore.spec import Credentials
from controllers.runtime.external.errors import ExternalError
from tests.support.controlplane import certificates
from tests.support.http.counting_proxy import CountingProxy
from tests.support.objectstore.accounts import StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS


async def test_whoever_asks_the_store_trusts_the_bundle_that_is_named_and_nobody_else(
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
        made = await tenant.ensure_key()
        assert isinstance(made, Credentials)
        tenant.wait_until_known(made)
        # The key itself is tried as well.
        assert made == await tenant.ensure_key()
        assert tenant.keys == [made.access_key]
        await tenant.store.close()
