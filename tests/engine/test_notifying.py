"""Notifications of a run's end, sent to servers of the tests' own."""

from __future__ import annotations

import asyncio
import json
import logging
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb import notify
from flyte_nb.engine import posting
from flyte_nb.models import ActionPhase
from tests.processes import flyte_nb_home, until

__all__ = ["flyte_nb_home"]

FAILED, SUCCEEDED, ABORTED = ActionPhase.FAILED, ActionPhase.SUCCEEDED, ActionPhase.ABORTED
env = flyte.TaskEnvironment("notes")


@env.task
async def works() -> int:
    return 1


@env.task
async def fails() -> int:
    raise ValueError("unlucky {run.name}")


@env.task
async def waits() -> None:
    await asyncio.sleep(3600)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join()


class Mailbox:
    """What arrived: (method, path, headers, body)."""

    def __init__(self, address: str, taken: list[tuple[str, str, Any, Any]]) -> None:
        self.address = address
        self.taken = taken

    def bodies(self, count: int) -> list[Any]:
        """The bodies of what arrived, once so much has."""
        until(lambda: len(self.taken) >= count)
        return [body for *_, body in self.taken]


@pytest.fixture
def hook() -> Iterator[Mailbox]:
    taken: list[tuple[str, str, Any, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            taken.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        do_POST = do_PUT = do_GET = take

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield Mailbox(f"http://127.0.0.1:{server.server_port}", taken)


def run_with(task: Any, *notifications: notify.Notification) -> str:
    """Runs a task with notifications; returns the run's name."""
    try:
        return flyte.with_runcontext(project="p", domain="d", notifications=notifications).run(task).name
    except flyte.errors.RuntimeUserError as error:
        return str(error.run.name)  # type: ignore[attr-defined]


def test_each_kind_sends_what_flyte_sends(hook: Mailbox) -> None:
    address = hook.address
    blocks = ({"type": "section", "text": {"type": "mrkdwn", "text": "{{.Run.Name}} {run.phase}"}},)
    header = {"X-Run": "{run.name}"}
    run = run_with(
        works,
        notify.Slack(on_phase=SUCCEEDED, webhook_url=f"{address}/slack"),
        notify.Slack(on_phase=(SUCCEEDED, FAILED), webhook_url=f"{address}/blocks", blocks=blocks),
        notify.Teams(on_phase=SUCCEEDED, webhook_url=f"{address}/teams"),
        notify.Teams(on_phase=SUCCEEDED, webhook_url=f"{address}/card", card={"body": ["{task.name}"], "version": 1}),
        notify.Webhook(on_phase=SUCCEEDED, url=f"{address}/hook?run={{run.name}}", method="PUT", headers=header),
        notify.Slack(on_phase=FAILED, webhook_url=f"{address}/never"),
    )
    hook.bodies(5)
    sent = {path.partition("?")[0]: body for _, path, _, body in hook.taken}
    summary = f"Run: {run}\nProject/Domain: p/d\nPhase: succeeded\nError: \n"
    assert sent == {
        "/slack": {"text": f"Run: {run} finished with phase succeeded\n | p/d\n"},
        "/blocks": {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": f"{run} succeeded"}}]},
        "/teams": {"title": f"Run {run} succeeded", "text": summary},
        "/card": {"body": ["notes.works"], "version": 1},
        "/hook": {"run": run, "project": "p", "domain": "d", "phase": "succeeded", "error": ""},
    }
    [(method, path, headers)] = [(one, path, headers) for one, path, headers, _ in hook.taken if "/hook" in path]
    assert (method, path, headers["X-Run"]) == ("PUT", f"/hook?run={run}", run)


def test_a_failure_is_told_with_its_error_as_it_stands(hook: Mailbox) -> None:
    run = run_with(fails, notify.Webhook(on_phase=FAILED, url=hook.address))
    assert hook.bodies(1)[0]["error"] == "ValueError: unlucky {run.name}"
    assert hook.bodies(1)[0]["run"] == run


def test_an_abort_is_told(hook: Mailbox) -> None:
    told = notify.Webhook(on_phase=ABORTED, url=hook.address, body={"error": "{{.Error}}"})
    flyte.with_runcontext(notifications=told).start(waits).abort("enough")
    assert hook.bodies(1) == [{"error": "Aborted: the run was aborted: enough"}]


def test_what_cannot_be_delivered_is_a_warning_without_the_address(
    hook: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "flyte"):
        run = run_with(
            works,
            notify.Slack(on_phase=SUCCEEDED, webhook_url=f"{hook.address}/broken"),
            notify.Teams(on_phase=SUCCEEDED, webhook_url="file:///etc/passwd"),
            notify.Webhook(on_phase=SUCCEEDED, url="http://127.0.0.1:9/token"),
        )
        until(lambda: len(caplog.messages) == 3)
    told = sorted(caplog.messages)
    assert (
        told[0]
        == f"The Slack notification of run {run} was not delivered: the server answered 500 Internal Server Error"
    )
    assert told[1].startswith(f"The Teams notification of run {run} was not delivered: ValueError:")
    assert told[2].startswith(f"The Webhook notification of run {run} was not delivered: [Errno")
    assert flyte.remote.Run.get(run).phase == SUCCEEDED


def test_rules_that_a_backend_knows_are_only_recorded() -> None:
    rule, delivery = notify.NamedRule("ops"), notify.NamedDelivery(on_phase=SUCCEEDED, name="mail")
    run = flyte.with_runcontext(notifications=(rule, delivery)).run(works)
    assert run.options["notifications"] == ["NamedRule", "NamedDelivery"]


def test_what_is_no_notification_is_refused() -> None:
    with pytest.raises(TypeError, match=r"notifications must be of flyte.notify .* got 'me@example.com'"):
        flyte.with_runcontext(notifications="me@example.com")


def test_an_e_mail_goes_to_the_server_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bytes] = []
    over = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                said.append(line)
                if line.upper().startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    while (line := self.rfile.readline()) != b".\r\n":
                        said.append(line)
                self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n")
            over.set()

    server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("FLYTE_NB_SMTP", f"127.0.0.1:{server.server_address[1]}")
    mail = notify.Email(
        on_phase=SUCCEEDED, recipients=("a@b.c",), cc=("d@e.f",), bcc=("g@h.i",), html_body="<b>{run.name}</b>"
    )
    with serving(server):
        run = run_with(works, mail)
        over.wait()
    to = [line.split(b"<")[1].split(b">")[0] for line in said if line.lower().startswith(b"rcpt")]
    assert to == [b"a@b.c", b"d@e.f", b"g@h.i"]
    at = next(k for k, line in enumerate(said) if line.upper().startswith(b"DATA"))
    message = message_from_bytes(b"".join(said[at + 1 :]))
    assert (message["Subject"], message["To"], message["Cc"]) == (f"Run {run} succeeded", "a@b.c", "d@e.f")
    assert [part.get_payload() for part in message.walk() if part.get_content_subtype() == "html"] == [
        f"<b>{run}</b>\r\n"
    ]


def test_a_program_that_ends_waits_for_what_is_on_its_way(hook: Mailbox, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"""
import flyte_nb as flyte
from flyte_nb import notify
from flyte_nb.models import ActionPhase
env = flyte.TaskEnvironment("program")
@env.task
async def work() -> int:
    return 1
told = notify.Webhook(on_phase=ActionPhase.SUCCEEDED, url={hook.address!r})
flyte.with_runcontext(notifications=told).run(work)
""")
    subprocess.run([sys.executable, program], check=True, cwd=tmp_path)
    assert hook.bodies(1)[0]["phase"] == "succeeded"


def test_the_end_of_a_program_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(posting, "EXIT_SECONDS", 0.01)
    posting.in_background("It", stuck.wait)  # type: ignore[arg-type]
    posting._wait_at_exit()
    assert posting._under_way
    stuck.set()
    until(lambda: not posting._under_way)
