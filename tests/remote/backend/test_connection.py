"""The process that talks to a backend: what it says when the backend is away, refuses, or lacks something."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import flyte_nb as flyte
from flyte_nb.remote import Run
from flyte_nb.remote.backend.client import Client, Connection
from flyte_nb.remote.backend.translation import translated
from flyte_nb.store.home import Home
from tests.server.wire import served

TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture(autouse=True)
def local_again() -> Iterator[None]:
    yield
    flyte.init()


def test_a_backend_that_does_not_answer_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flyte.init(endpoint=f"http://{address}", insecure=True, rpc_retries=1, project="p", domain="d")
        with pytest.raises(ConnectionError, match=rf"{address} does not answer: .* flyte\.init\(\)"):
            Run.get("adds")


def test_a_server_that_asks_for_a_token_is_named_with_what_it_says(tmp_path: Path) -> None:
    home = Home(tmp_path / "other" / ".flyte_nb").ensure()
    with served(home.path, env={"FLYTE_NB_TOKEN": TOKEN}) as url:
        flyte.init(endpoint=url, insecure=True, project="p", domain="d")
        with pytest.raises(PermissionError, match="refuses the credentials: This server asks for a token"):
            list(Run.listall())


def test_what_the_sdk_refuses_is_raised_with_its_own_words() -> None:
    client = Client(Connection("init", translated({"endpoint": "http://127.0.0.1:1", "auth_type": "Magic"}), "here"))
    try:
        with pytest.raises(Exception, match="Magic"):
            client.call("runs", list)
    finally:
        client.close()
