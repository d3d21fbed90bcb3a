"""Secrets that are kept with a store: for their owner only, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flyte_nb.store.errors import StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.secrets import LARGEST_BYTES, StoredSecrets


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".flyte_nb")


@pytest.fixture
def secrets(home: Home) -> StoredSecrets:
    return StoredSecrets(home)


def test_a_secret_is_created_found_changed_and_deleted(home: Home, secrets: StoredSecrets) -> None:
    assert secrets.rows() == []
    secrets.create("api-key", "first")
    secrets.create("OTHER_2", b"as bytes")
    assert [row.name for row in secrets.rows()] == ["OTHER_2", "api-key"]
    assert (secrets.value("api-key"), secrets.value("OTHER_2")) == ("first", "as bytes")
    os.utime(home.secrets / "api-key", ns=(1, 1))
    assert secrets.find("api-key").created_ns == 1
    secrets.update("api-key", "second")
    assert secrets.value("api-key") == "second"
    assert secrets.find("api-key").created_ns > 1
    secrets.delete("api-key")
    assert secrets.value("api-key") is None
    assert [row.name for row in secrets.rows()] == ["OTHER_2"]


def test_only_its_owner_may_read_a_secret(home: Home, secrets: StoredSecrets) -> None:
    secrets.create("key", "value")
    secrets.update("key", "another")
    assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o700
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in home.secrets.iterdir()] == [("key", 0o600)]


def test_a_secret_that_is_there_is_not_replaced_by_another_of_its_name(secrets: StoredSecrets) -> None:
    secrets.create("key", "first")
    with pytest.raises(FileExistsError, match="There is a secret 'key' already: delete it first"):
        secrets.create("key", "second")
    assert secrets.value("key") == "first"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../runs.duckdb", "a b", "a.b", "ä", "x" * 201])
def test_a_name_that_could_be_a_path_is_none(home: Home, secrets: StoredSecrets, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a secret: it takes letters, digits, - and _"):
        secrets.create(name, "value")
    assert secrets.value(name) is None
    assert not home.secrets.exists()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (b"\xff\xfe", "is not text"),
        ("with\0nothing", "is not text"),
        ("x" * (LARGEST_BYTES + 1), "has 100,001 bytes.*which holds 100,000"),
    ],
)
def test_what_no_environment_variable_can_hold_is_refused_untold(
    secrets: StoredSecrets, value: str | bytes, says: str
) -> None:
    with pytest.raises(ValueError, match=f"The value of the secret 'key' {says}") as raised:
        secrets.create("key", value)
    assert "with" not in str(raised.value) and "xxx" not in str(raised.value)
    assert secrets.rows() == []


def test_a_secret_that_is_not_there_is_named_with_those_near_it(secrets: StoredSecrets) -> None:
    with pytest.raises(KeyError, match="No secret is named 'api': there are none yet"):
        secrets.delete("api")
    secrets.create("api-key", "value")
    for ask in (secrets.find, secrets.delete, lambda name: secrets.update(name, "value")):
        with pytest.raises(KeyError, match="No secret is named 'apikey'; did you mean api-key"):
            ask("apikey")


def test_a_folder_that_cannot_be_written_is_one_clear_error(home: Home, secrets: StoredSecrets) -> None:
    home.ensure().secrets.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"The secret 'key' cannot be written to .*secrets"):
        secrets.create("key", "value")
