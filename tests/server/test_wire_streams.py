"""Streams of changes that end before what they tell of does: the client vanishes, or the server ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.parse
from pathlib import Path

import psutil
import pytest
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2
from google.protobuf.message import Message

import flyte_nb as flyte
from flyte_nb.engine.session import end_session
from flyte_nb.store.queries import Store
from tests.processes import processes_of, until
from tests.server import wire_tasks
from tests.server.wire import served

RUN = identifier_pb2.RunIdentifier(name="gated")
STREAMS: dict[str, Message] = {
    "WatchRuns": run_service_pb2.WatchRunsRequest(),
    "WatchActions": run_service_pb2.WatchActionsRequest(run_id=RUN),
    "WatchRunDetails": run_service_pb2.WatchRunDetailsRequest(run_id=RUN),
    "WatchActionDetails": run_service_pb2.WatchActionDetailsRequest(
        action_id=identifier_pb2.ActionIdentifier(run=RUN, name="a0")
    ),
}
CLIENTS = 25
"""Of each stream."""


def opened(url: str, name: str) -> socket.socket:
    """A stream that has begun."""
    address = urllib.parse.urlsplit(url)
    body = STREAMS[name].SerializeToString()
    head = (
        f"POST /flyteidl2.workflow.RunService/{name} HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/connect+proto\r\ncontent-length: {len(body) + 5}\r\n\r\n"
    )
    stream = socket.create_connection((address.hostname, address.port), 60)
    stream.sendall(head.encode() + b"\0" + len(body).to_bytes(4, "big") + body)
    assert stream.recv(15) == b"HTTP/1.1 200 OK"
    return stream


def test_nothing_is_left_of_a_hundred_clients_that_vanish_nor_is_the_server_kept_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ".flyte_nb"
    monkeypatch.setenv("FLYTE_NB_HOME", str(home))
    wire_tasks.GO_ON.clear()
    runner = threading.Thread(target=lambda: flyte.with_runcontext(name=RUN.name).run(wire_tasks.gated, n=1))
    runner.start()
    try:
        with contextlib.ExitStack() as left_open, served(home) as url:  # which fails when the server does not end
            (server,) = processes_of(home)
            until(lambda: [run.phase for run in Store.open().runs()] == ["running"])
            opened(url, "WatchRuns").close()
            files, threads = server.num_fds(), server.num_threads()
            with contextlib.ExitStack() as streams:
                for name in [*STREAMS] * CLIENTS:
                    streams.enter_context(opened(url, name))
                assert connections(server) == len(STREAMS) * CLIENTS
            until(lambda: connections(server) == 0 and server.num_fds() <= files)
            assert server.num_threads() < threads + CLIENTS, "no stream has a thread of its own"
            for name in STREAMS:
                left_open.enter_context(opened(url, name))
    finally:
        wire_tasks.GO_ON.set()
        runner.join()
        end_session()


def connections(process: psutil.Process) -> int:
    return sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections())
