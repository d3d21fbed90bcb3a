"""`flyte.init` and its kin: nothing must be set up, and a backend is refused in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.errors import InitializationError
from flyte_nb.remote import setup
from tests.remote import tasks


@pytest.fixture(autouse=True)
def nothing_is_set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FLYTECTL_CONFIG", raising=False)
    setup._settings.clear()
    yield tmp_path
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


@pytest.mark.parametrize("parameter", ["endpoint", "api_key"])
def test_a_backend_is_refused_with_what_to_do_instead(parameter: str) -> None:
    options: dict[str, Any] = {parameter: "dns:///flyte.example.com"}
    with pytest.raises(InitializationError, match=r"runs locally .* Leave it out") as raised:
        flyte.init(**options)
    assert raised.value.code == "BackendNotSupported"
    assert not setup.is_initialized()


def test_an_api_key_is_never_repeated_in_the_error() -> None:
    for call in (flyte.init, flyte.init_from_api_key):
        with pytest.raises(InitializationError) as raised:
            call(api_key="s3cret")
        assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("call", [flyte.init_from_api_key, flyte.init_in_cluster, flyte.init_passthrough])
def test_what_needs_a_backend_is_refused(call: object) -> None:
    with pytest.raises(InitializationError, match="cannot connect"):
        call()  # type: ignore[operator]


def test_a_config_file_without_a_backend_is_as_good_as_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("task:\n  project: fraud\n")
    flyte.init_from_config(file)
    flyte.init_from_config()
    assert setup.is_initialized()


@pytest.mark.parametrize("place", ["config.yaml", ".flyte/config.yaml", "from_environment.yaml"])
def test_a_config_file_that_names_a_backend_is_refused_by_its_name(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("admin:\n  endpoint: dns:///flyte.example.com\n")
    if place.startswith("from_environment"):
        monkeypatch.setenv("FLYTECTL_CONFIG", str(file))
    with pytest.raises(InitializationError, match=place):
        flyte.init_from_config()


def test_a_config_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(InitializationError, match=r"no configuration file at missing\.yaml"):
        flyte.init_from_config("missing.yaml")
