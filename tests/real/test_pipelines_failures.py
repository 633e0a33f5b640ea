"""Whatever befalls store, cluster and process in whichever order: one key each, and it works."""

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

pytestmark = [pytest.mark.xdist_group("pipelines-storms"), pytest.mark.timeout(900)]

BUCKET = "kfp-storm"
TENANTS = [f"kfp-storm-{number}" for number in range(6)]
BLOWS = 10
BREATHERS = 0.5
PATIENCE_SECONDS = 240.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SeaweedFS]:
    made = SeaweedFS.start(tmp_path / "store")
    yield made
    made.stop()


class Storm:
    """What can be struck, and how."""

    def __init__(self, made: Launcher, store: SeaweedFS, dice: random.Random) -> None:
        self.made = made
        self.plane: ControlPlane = made.plane
        self.store = store
        self.dice = dice
        self.up = True
        self._kubeconfig = made.identity("pipelines", "pipelines", pipelines=PipelinesSettings())
        self.manager = self._started()

    def _started(self) -> ManagerProcess:
        given = namespaces.variables(self.store, BUCKET)
        return self.made.start(
            "pipelines", "--resync", "0.02", kubeconfig=self._kubeconfig, variables=given
        )

    def strike(self) -> None:
        blow: Callable[[str], object] = self.dice.choice(
            (
                self.kill_process,
                self.toggle_store,
                self.lose_secret,
                self.lose_secret,
                self.edit_secret,
                self.lose_key,
                self.lose_user,
                self.rotate,
            )
        )
        blow(self.dice.choice(TENANTS))

    def kill_process(self, _name: str) -> None:
        self.manager.kill()
        self.manager = self._started()

    def toggle_store(self, _name: str) -> None:
        (self.store.pause if self.up else self.store.resume)()
        self.up = not self.up

    def lose_secret(self, name: str) -> None:
        if observe.find(self.plane, namespaces.secret_path(name)) is not None:
            observe.delete(self.plane, namespaces.secret_path(name))

    def edit_secret(self, name: str) -> None:
        if observe.find(self.plane, namespaces.secret_path(name)) is not None:
            nonsense = {"data": {"accesskey": "bm9uc2Vuc2U="}}
            observe.patch(self.plane, namespaces.secret_path(name), nonsense)

    def lose_key(self, name: str) -> None:
        if self.up:
            for key in self.store.keys(name):
                self.store.iam().delete_access_key(UserName=name, AccessKeyId=key)

    def lose_user(self, name: str) -> None:
        if self.up:
            self.store.succeeds(self.store.iam().delete_user, UserName=name)

    def breathe(self) -> None:
        """The process comes round to some profiles, now and then."""
        if self.dice.random() < BREATHERS:
            total = "controller_runtime_reconcile_total"
            self.manager.wait_ready()
            goal = self.manager.total(total) + self.dice.randint(1, 2 * len(TENANTS))
            waiting.until(lambda: self.manager.total(total) >= goal, "it comes round")

    def rotate(self, name: str) -> None:
        annotations = {"pipelines.statcan.gc.ca/key-generation": str(self.dice.random())}
        kubeflow.patch_profile(self.plane, name, {"metadata": {"annotations": annotations}})

    def counted(self) -> bool:
        """No tenant has a second key, whatever is under way."""
        if not self.up:
            return False
        known = self.store.users()
        for name in TENANTS:
            keys = self.store.keys(name) if name in known else []
            assert len(keys) <= 1, (name, keys)
        return True


def works(storm: Storm, name: str) -> bool:
    """Whether the Secret's key is the only one and writes where the tenant may."""
    found = namespaces.key(storm.plane, name)
    if found is None or storm.store.keys(name) != [found.access_key]:
        return False
    put = storm.store.s3(found).put_object
    return storm.store.succeeds(put, Bucket=BUCKET, Key=f"private/{name}/mine", Body=b"1")


def wait_roles_ready(storm: Storm, name: str) -> None:
    def are_roles_ready() -> bool:
        return works(storm, name) and namespaces.is_ready(storm.plane, name)

    waiting.until(are_roles_ready, f"{name} has a key that works", seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize("seed", [1])
def test_after_the_storm_each_tenant_has_one_key_that_works(
    fresh_launcher: Callable[..., Launcher], store: SeaweedFS, seed: int
) -> None:
    made = fresh_launcher()
    store.make_bucket(BUCKET)
    kubeflow.create_complete_tenants(made.plane, TENANTS)
    storm = Storm(made, store, random.Random(seed))  # noqa: S311 - dice
    for name in TENANTS:
        wait_roles_ready(storm, name)

    for _ in range(BLOWS):
        storm.strike()
        storm.breathe()
        storm.counted()
    if not storm.up:
        storm.toggle_store("")
    for name in TENANTS:
        wait_roles_ready(storm, name)
    assert storm.counted()
    assert storm.manager.code is None
    assert not storm.manager.lines(level="error")
