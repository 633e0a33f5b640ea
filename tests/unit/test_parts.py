"""The cache of parts, and which parts a task needs."""

import threading
from pathlib import Path

import pytest

from tests.support.parts import Part, PartMissingError
from tests.support.parts.__main__ import main, parse
from tests.support.parts.catalog import PARTS, TASKS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "profiles-controller"


def write(folder: Path) -> None:
    (folder / "program").write_text("content")


def test_the_cache_is_where_xdg_cache_home_says(cache: Path) -> None:
    assert Part(name="opa", install=write).folder.is_relative_to(cache)


def test_a_part_is_installed_once() -> None:
    calls: list[Path] = []

    def install(folder: Path) -> None:
        calls.append(folder)
        write(folder)

    part = Part(name="opa", install=install)

    assert not part.is_installed()
    assert (part.ensure() / "program").read_text() == "content"
    assert part.ensure() == part.folder
    assert len(calls) == 1


def test_one_of_several_installers_installs_and_the_others_wait() -> None:
    calls: list[Path] = []

    def install(folder: Path) -> None:
        calls.append(folder)
        write(folder)

    part = Part(name="opa", install=install)
    others = [threading.Thread(target=part.ensure) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()

    assert len(calls) == 1


def test_a_failed_install_leaves_nothing_and_can_be_repeated() -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise PartMissingError("no network")

    part = Part(name="opa", install=fail)
    with pytest.raises(PartMissingError, match="no network"):
        part.ensure()

    assert not part.is_installed()
    assert (Part(name="opa", install=write).ensure() / "program").exists()


def test_another_lock_or_version_is_another_part(tmp_path: Path) -> None:
    lock = tmp_path / "go.sum"
    lock.write_text("1")
    part = Part(name="opa", install=write, locks=(lock,))
    before = part.folder
    lock.write_text("2")

    assert part.folder != before
    assert part.folder != Part(name="opa", install=write, locks=(lock,), version="2").folder


def test_the_demo_needs_a_control_plane_and_its_crds_only() -> None:
    assert parse(["build", "--for", "demo"]) == ["control-plane", "istio-crds"]


def test_the_tests_need_every_part() -> None:
    assert parse(["build", "--for", "test"]) == list(PARTS)
    assert parse(["build"]) == list(PARTS)


def test_parts_can_be_chosen_by_name() -> None:
    assert parse(["build", "opa", "helm"]) == ["helm", "opa"]


def test_every_task_names_parts_of_the_catalog() -> None:
    assert all(set(names) <= set(PARTS) for names in TASKS.values())


def test_an_unknown_part_is_refused_with_the_names_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["build", "minikube"])

    assert "unknown parts: minikube. The parts are control-plane" in capsys.readouterr().err
