"""`flyte.init` and its kin: nothing must be set up, and a backend is asked only when it is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.errors import InitializationError
from flyte_nb.remote import setup
from flyte_nb.remote.backend import client
from flyte_nb.remote.source import source
from tests.remote import tasks


@pytest.fixture(autouse=True)
def nothing_is_set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FLYTECTL_CONFIG", raising=False)
    setup._settings.clear()
    yield tmp_path
    flyte.init()
    setup._settings.clear()


def test_runs_need_no_init() -> None:
    assert not setup.is_initialized()
    assert flyte.run(tasks.both, 1).phase == "succeeded"


def test_init_keeps_names_for_the_process() -> None:
    flyte.init(org="acme", project="fraud", domain="development", root_dir=Path())
    assert (flyte.current_project(), flyte.current_domain()) == ("fraud", "development")
    assert setup.is_initialized()
    assert not flyte.is_control_plane_available()


def test_a_later_init_replaces_an_earlier_one() -> None:
    flyte.init(project="fraud", domain="development")
    flyte.init(project="search")
    assert flyte.current_project() == "search"
    with pytest.raises(InitializationError, match=r"flyte\.init\(domain=\.\.\.\)"):
        flyte.current_domain()


@pytest.mark.parametrize("name", ["project", "domain"])
def test_without_a_name_the_error_says_how_to_give_one(name: str) -> None:
    with pytest.raises(InitializationError, match=rf"No {name} is set: flyte\.init\({name}=\.\.\.\)"):
        getattr(flyte, f"current_{name}")()


async def test_init_can_be_awaited() -> None:
    await flyte.init.aio(project="fraud")
    await flyte.init_from_config.aio()
    assert setup.is_initialized()


@pytest.mark.parametrize(("parameter", "name"), [("log_level", "flyte"), ("user_log_level", "flyte.user")])
def test_log_levels_are_set(parameter: str, name: str) -> None:
    logger = logging.getLogger(name)
    before = logger.level
    try:
        options: dict[str, Any] = {parameter: logging.CRITICAL}
        flyte.init(**options)
        assert logger.level == logging.CRITICAL
    finally:
        logger.setLevel(before)


def test_flytes_other_parameters_are_accepted_and_unknown_ones_refused() -> None:
    flyte.init(image_builder="local", insecure=True, storage=None)
    with pytest.raises(TypeError, match="unexpected parameters: porject"):
        flyte.init(porject="fraud")


@pytest.mark.parametrize("options", [{"endpoint": "dns:///flyte.example.com"}, {"api_key": "s3cret"}])
def test_an_endpoint_or_a_key_connects_without_a_request_and_init_makes_runs_local_again(options: Any) -> None:
    flyte.init(project="fraud", **options)
    assert flyte.is_control_plane_available()
    assert flyte.current_project() == "fraud"
    flyte.init()
    assert not flyte.is_control_plane_available()
    assert flyte.run(tasks.both, 1).phase == "succeeded"


def test_a_key_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYTE_API_KEY", raising=False)
    with pytest.raises(InitializationError, match="set the environment variable FLYTE_API_KEY"):
        flyte.init_from_api_key()
    monkeypatch.setenv("FLYTE_API_KEY", "s3cret")
    flyte.init_from_api_key()
    assert flyte.is_control_plane_available()


def test_without_flytes_sdk_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(client, "version", missing)
    with pytest.raises(InitializationError, match=r'pip install "flyte_nb\[remote\]"'):
        flyte.init(endpoint="dns:///flyte.example.com")
    assert not flyte.is_control_plane_available()
    assert not setup.is_initialized()


@pytest.mark.parametrize("call", [flyte.init_in_cluster, flyte.init_passthrough])
def test_what_is_for_containers_and_servers_is_refused_with_what_to_do(call: Any) -> None:
    with pytest.raises(InitializationError, match=r"flyte\.init\(endpoint="):
        call()


def test_a_config_file_without_a_backend_is_as_good_as_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("task:\n  project: fraud\n")
    flyte.init_from_config(file)
    flyte.init_from_config()
    assert setup.is_initialized()


@pytest.mark.parametrize("place", ["config.yaml", ".flyte/config.yaml", "from_environment.yaml"])
def test_a_config_file_that_names_a_backend_connects_to_it(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("admin:\n  endpoint: dns:///flyte.example.com\n")
    if place.startswith("from_environment"):
        monkeypatch.setenv("FLYTECTL_CONFIG", str(file))
    flyte.init_from_config()
    assert source.backend is not None
    assert place in source.backend.endpoint


def test_a_config_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(InitializationError, match=r"no configuration file at missing\.yaml"):
        flyte.init_from_config("missing.yaml")
