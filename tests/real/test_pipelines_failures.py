"""Random failures of store, cluster and process: each tenant has one key, and it works."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controllers.pipelines.config import PipelinesSettings
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane
from tests.support.objectstore import namespaces
from tests.support.objectstore.seaweedfs import SeaweedFS

pytestmark = [pytest.mark.xdist_group("pipelines-failures"), pytest.mark.timeout(900)]

BUCKET = "kfp-failures"
TENANTS = [f"kfp-failures-{number}" for number in range(6)]
FAILURES = 10
PAUSES = 0.5
WAIT_SECONDS = 240.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SeaweedFS]:
    made = SeaweedFS.start(tmp_path / "store")
    yield made
    made.stop()


class Failures:
    """Causes random failures."""

    def __init__(self, made: Launcher, store: SeaweedFS, rng: random.Random) -> None:
        self.made = made
        self.plane: ControlPlane = made.plane
        self.store = store
        self.random = rng
        self.up = True
        self._kubeconfig = made.identity("pipelines", "pipelines", pipelines=PipelinesSettings())
        self.manager = self._started()

    def _started(self) -> ManagerProcess:
        given = namespaces.variables(self.store, BUCKET)
        return self.made.start(
            "pipelines", "--resync", "0.02", kubeconfig=self._kubeconfig, variables=given
        )

    def cause_one(self) -> None:
        failure: Callable[[str], object] = self.random.choice(
            (
                self.kill_process,
                self.toggle_store,
                self.delete_secret,
                self.delete_secret,
                self.edit_secret,
                self.delete_key,
                self.delete_user,
                self.rotate,
            )
        )
        failure(self.random.choice(TENANTS))

    def kill_process(self, _name: str) -> None:
        self.manager.kill()
        self.manager = self._started()

    def toggle_store(self, _name: str) -> None:
        (self.store.pause if self.up else self.store.resume)()
        self.up = not self.up

    def delete_secret(self, name: str) -> None:
        if observe.find(self.plane, namespaces.secret_path(name)) is not None:
            observe.delete(self.plane, namespaces.secret_path(name))

    def edit_secret(self, name: str) -> None:
        if observe.find(self.plane, namespaces.secret_path(name)) is not None:
            edited = {"data": {"accesskey": "bm9uc2Vuc2U="}}
            observe.patch(self.plane, namespaces.secret_path(name), edited)

    def delete_key(self, name: str) -> None:
        if self.up:
            for key in self.store.keys(name):
                self.store.iam().delete_access_key(UserName=name, AccessKeyId=key)

    def delete_user(self, name: str) -> None:
        if self.up:
            self.store.succeeds(self.store.iam().delete_user, UserName=name)

    def pause(self) -> None:
        """Let the process reconcile some profiles, sometimes."""
        if self.random.random() < PAUSES:
            total = "controller_runtime_reconcile_total"
            self.manager.wait_ready()
            goal = self.manager.total(total) + self.random.randint(1, 2 * len(TENANTS))
            waiting.until(lambda: self.manager.total(total) >= goal, "it reconciles")

    def rotate(self, name: str) -> None:
        annotations = {"pipelines.statcan.gc.ca/key-generation": str(self.random.random())}
        kubeflow.patch_profile(self.plane, name, {"metadata": {"annotations": annotations}})

    def check_key_count(self) -> bool:
        """Check that no tenant has a second key."""
        if not self.up:
            return False
        known = self.store.users()
        for name in TENANTS:
            keys = self.store.keys(name) if name in known else []
            assert len(keys) <= 1, (name, keys)
        return True


def works(failures: Failures, name: str) -> bool:
    """Return whether the Secret's key is the only one and can write to the tenant's prefix."""
    found = namespaces.key(failures.plane, name)
    if found is None or failures.store.keys(name) != [found.access_key]:
        return False
    put = failures.store.s3(found).put_object
    return failures.store.succeeds(put, Bucket=BUCKET, Key=f"private/{name}/mine", Body=b"1")


def wait_ready(failures: Failures, name: str) -> None:
    def is_ready() -> bool:
        return works(failures, name) and namespaces.is_ready(failures.plane, name)

    waiting.until(is_ready, f"{name} has a key that works", seconds=WAIT_SECONDS)


@pytest.mark.parametrize("seed", [1])
def test_after_random_failures_each_tenant_has_one_key_that_works(
    fresh_launcher: Callable[..., Launcher], store: SeaweedFS, seed: int
) -> None:
    made = fresh_launcher()
    store.make_bucket(BUCKET)
    kubeflow.create_complete_tenants(made.plane, TENANTS)
    failures = Failures(made, store, random.Random(seed))  # noqa: S311 - not cryptographic
    for name in TENANTS:
        wait_ready(failures, name)

    for _ in range(FAILURES):
        failures.cause_one()
        failures.pause()
        failures.check_key_count()
    if not failures.up:
        failures.toggle_store("")
    for name in TENANTS:
        wait_ready(failures, name)
    assert failures.check_key_count()
    assert failures.manager.exit_code is None
    assert not failures.manager.lines(level="error")
