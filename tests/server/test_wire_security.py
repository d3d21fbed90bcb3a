"""What the server refuses: strangers, other sites' pages, too much, broken and forged calls. It stays up throughout."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.dataproxy import dataproxy_service_pb2
from flyteidl2.task import task_service_pb2
from flyteidl2.workflow import run_service_pb2, tracked_run_service_pb2

import flyte_nb as flyte
from flyte_nb.remote.errors import CommandError
from flyte_nb.server.wire.access import Access
from flyte_nb.server.wire.links import Links
from flyte_nb.server.wire.serving import Serving
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.store.home import Home
from flyte_nb.store.queries import Store
from tests.processes import one_session, processes_of, until
from tests.server import wire_tasks
from tests.server.wire import ClientError, official_client, served

TOKEN = "a-token-of-the-tests-0123456789"
LIST = "/flyteidl2.workflow.RunService/ListRuns"
UPLOAD = "/flyteidl2.dataproxy.DataProxyService/CreateUploadLocation"
TASK = "/flyteidl2.task.TaskService/GetTaskDetails"
SECRETS = "/flyteidl2.secret.SecretService/CreateSecret"
PUBLISH = "/flyteidl2.workflow.TrackedRunService/CreateRun"
PROTO = {"content-type": "application/proto"}


class Caller:
    """Calls the server as no client would."""

    def __init__(self, url: str) -> None:
        self.address = urllib.parse.urlsplit(url)

    def __call__(
        self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, bytes]:
        """The status and body of the answer."""
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=60)
        try:
            connection.request(method, path, body, {"authorization": f"Bearer {TOKEN}", **PROTO, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def refusal(self, path: str, body: bytes = b"", **headers: str) -> tuple[str, str]:
        """The code and message of the refusal of a call."""
        said = json.loads(self(path, body, {name.replace("_", "-"): value for name, value in headers.items()})[1])
        return said["code"], said["message"]

    def is_up(self) -> bool:
        return self(LIST)[0] == 200

    def upload_url(self, **asked: Any) -> str:
        """A signed address, as a path."""
        request = dataproxy_service_pb2.CreateUploadLocationRequest(**asked)
        status, body = self(UPLOAD, request.SerializeToString())
        assert status == 200, body
        return dataproxy_service_pb2.CreateUploadLocationResponse.FromString(body).signed_url.split(
            self.address.netloc, 1
        )[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / ".flyte_nb"
    with one_session(folder):
        flyte.with_runcontext(name="adds").run(wire_tasks.total, n=1)
        flyte.deploy(wire_tasks.env, version="v1")
    return folder


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with served(home, env={"FLYTE_NB_TOKEN": TOKEN}) as url:
        yield url


@pytest.fixture(scope="module")
def call(url: str) -> Caller:
    return Caller(url)


@pytest.mark.parametrize(
    ("headers", "code", "says"),
    [
        ({"authorization": ""}, "unauthenticated", "asks for a token: Authorization: Bearer TOKEN"),
        ({"authorization": "Bearer " + TOKEN[:-1]}, "unauthenticated", "not this server's"),
        ({"authorization": "Basic " + TOKEN}, "unauthenticated", "asks for a token"),
        ({"host": "evil.example"}, "permission_denied", "'evil.example'"),
        ({"origin": "https://evil.example"}, "permission_denied", "https://evil.example"),
        ({"content_length": "1000000000"}, "resource_exhausted", "larger than 64,000,000 bytes"),
    ],
)
def test_a_call_that_may_not_be_made_is_refused(call: Caller, headers: dict[str, str], code: str, says: str) -> None:
    found, message = call.refusal(LIST, **headers)
    assert found == code and says in message
    assert call.is_up()


def test_what_is_not_served_is_refused_without_a_token_first(call: Caller) -> None:
    assert call.refusal("/flyteidl2.settings.SettingsService/GetSettings")[0] == "unimplemented"
    for path in ("/flyteidl2.settings.SettingsService/GetSettings", SECRETS):
        assert call.refusal(path, authorization="")[0] == "unauthenticated"
    assert call.refusal("/nothing")[0] == "unimplemented"


def test_a_message_without_a_length_is_read_no_further_than_it_may_be(call: Caller) -> None:
    with socket.create_connection((call.address.hostname, call.address.port), timeout=60) as stream:
        head = f"POST {LIST} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n"
        stream.sendall((head + "content-type: application/proto\r\ntransfer-encoding: chunked\r\n\r\n").encode())
        part = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        with pytest.raises(OSError):  # the server closes long before a gigabyte
            for _ in range(1000):
                stream.sendall(part)
    assert call.is_up()


def test_a_message_that_unpacks_to_too_much_is_refused(call: Caller) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000)
    assert call.refusal(LIST, bomb, content_encoding="gzip")[0] == "resource_exhausted"
    assert call.refusal(LIST, bomb[:100], content_encoding="gzip")[0] == "invalid_argument"
    assert call.is_up()


@pytest.mark.parametrize("kind", ["application/proto", "application/json"])
def test_bytes_that_are_no_message_are_the_clients_mistake(call: Caller, kind: str) -> None:
    code, message = call.refusal(LIST, b"\xff\xff{", content_type=kind)
    assert code == "invalid_argument" and message.startswith("The message is no ListRunsRequest in ")
    assert call.refusal(LIST, content_type="application/grpc")[0] == "unimplemented"


def test_a_task_that_is_not_there_is_answered_with_those_near_it(call: Caller) -> None:
    request = task_service_pb2.GetTaskDetailsRequest()
    request.task_id.name, request.task_id.version = "shop.totl", "v1"
    code, message = call.refusal(TASK, request.SerializeToString())
    assert code == "not_found" and "shop.total" in message
    request.task_id.name, request.task_id.version = "shop.total", "v2"
    code, message = call.refusal(TASK, request.SerializeToString())
    assert code == "not_found" and "v1" in message


def test_a_file_that_is_uploaded_is_whole_and_where_it_belongs(call: Caller, home: Path) -> None:
    content = b"hello"
    md5 = hashlib.md5(content).digest()
    path = call.upload_url(filename="a.txt", filename_root="mine", content_md5=md5, content_length=5)
    assert call(path, content, method="PUT")[0] == 200
    assert (home / "uploads" / "mine" / "a.txt").read_bytes() == content


@pytest.mark.parametrize("name", ["../escaped", "/etc/escaped", "a/../../../escaped", "a\0b", "x" * 5000, ".."])
def test_a_path_that_leads_outside_is_refused(call: Caller, home: Path, name: str) -> None:
    request = dataproxy_service_pb2.CreateUploadLocationRequest(filename=name, filename_root="..")
    assert call.refusal(UPLOAD, request.SerializeToString())[0] == "permission_denied"
    assert not list(home.parent.glob("escaped*"))


def test_an_upload_that_is_damaged_too_large_or_truncated_leaves_nothing(call: Caller, home: Path) -> None:
    md5 = hashlib.md5(b"hello").digest()
    path = call.upload_url(filename="b.txt", filename_root="bad", content_md5=md5, content_length=5)
    status, says = call(path, b"hullo", method="PUT")
    assert status == 400 and b"arrived damaged" in says
    status, says = call(path, b"hello and more", method="PUT")
    assert status == 400 and b"larger than the 5 bytes" in says
    with socket.create_connection((call.address.hostname, call.address.port), timeout=60) as stream:
        stream.sendall(f"PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhel".encode())
        stream.shutdown(socket.SHUT_WR)
        stream.recv(1000)
    assert call.is_up()
    assert not any((home / "uploads" / "bad").iterdir())


def test_a_signed_address_opens_nothing_else(call: Caller) -> None:
    path = call.upload_url(filename="c.txt", filename_root="signed", content_length=5)
    assert call(path.replace("c.txt", "d.txt"), b"hello", method="PUT")[0] == 403
    assert call(path, b"", method="GET")[0] == 403
    assert call("/files/report/adds/a0?99999999999&" + "0" * 64, method="GET")[0] == 403
    assert call("/files/report/adds/a0", method="GET")[0] == 403


def test_a_signed_address_expires() -> None:
    links = Links("http")
    held, expired = (links.report("host", "r", "a0", timedelta(seconds=seconds)).url for seconds in (60, -1))
    path, _, query = held.removeprefix("http://host").partition("?")
    assert links.opened("GET", path, query) == ["report", "r", "a0"]
    with pytest.raises(PermissionError, match="has expired"):
        links.opened("GET", path, expired.partition("?")[2])


def test_an_api_key_is_exchanged_for_the_token(call: Caller) -> None:
    key = base64.b64encode(f"any:{TOKEN}".encode()).decode()
    status, body = call("/oauth/token", headers={"authorization": f"Basic {key}"})
    assert (status, json.loads(body)["access_token"]) == (200, TOKEN)
    for wrong in ("any:wrong", "", "\udc80:"):
        key = base64.b64encode(wrong.encode("utf-8", "surrogateescape")).decode()
        assert call.refusal("/oauth/token", authorization=f"Basic {key}")[0] == "unauthenticated"


def shout(call: Caller, random_: random.Random) -> None:
    """Random bytes on every path, as every kind of content."""
    services = run_service_pb2.DESCRIPTOR.services_by_name["RunService"].methods_by_name
    paths = [f"/flyteidl2.workflow.RunService/{name}" for name in services]
    paths += [UPLOAD, "/flyteidl2.dataproxy.DataProxyService/TailLogs", "/flyteidl2.task.TaskService/DeployTask"]
    paths += [SECRETS, PUBLISH, "/flyteidl2.workflow.TrackedRunService/ReportActions", "/oauth/token", "/files/x", "/"]
    kinds = ["application/proto", "application/json", "application/connect+proto", "application/grpc", "text/plain"]
    for path in paths:
        for kind in kinds:
            if "Watch" in path and kind == "application/connect+proto":
                continue  # may rightly be answered without an end
            status, _ = call(path, random_.randbytes(random_.randrange(200)), {"content-type": kind})
            assert status < 500 or status == 501, (path, kind)
    assert call.is_up()


def test_random_bytes_on_every_path_are_answered(call: Caller) -> None:
    shout(call, random.Random(7))


@pytest.mark.long
@pytest.mark.timeout(700)
def test_random_bytes_are_answered_for_ten_minutes(call: Caller) -> None:
    seed, end = random.randrange(1 << 32), time.monotonic() + 600
    print("seed", seed)
    random_ = random.Random(seed)
    while time.monotonic() < end:
        shout(call, random_)


def test_nothing_is_lost_of_a_server_that_is_killed_while_clients_write(tmp_path: Path) -> None:
    home = tmp_path / ".flyte_nb"
    taken: list[str] = []

    def publish(call: Caller) -> None:
        request = tracked_run_service_pb2.CreateTrackedRunRequest()
        request.task_spec.task_template.id.name = "off.task"
        while True:
            request.run_id.name = f"local-{len(taken)}"
            try:
                assert call(PUBLISH, request.SerializeToString())[0] == 200
            except (OSError, http.client.HTTPException):
                return
            taken.append(request.run_id.name)

    with served(home) as url, official_client(url, tmp_path) as client:
        assert client("[run.name for run in remote.Run.listall()]") == []
        writer = threading.Thread(target=publish, args=[Caller(url)])
        writer.start()
        until(lambda: len(taken) >= 10)
        for process in processes_of(home):
            process.kill()
            process.wait()
        writer.join()
        port = urllib.parse.urlsplit(url).port
        with served(home, "--port", str(port)):
            found = client("{run.name: run.phase.value for run in remote.Run.listall()}")
            assert {name: found.get(name) for name in taken} == dict.fromkeys(taken, "aborted")
    assert Store.open(home).integrity() == []


def test_what_the_server_needs_is_named_when_it_is_missing(home: Path) -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from flyte_nb.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "serve"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'The server needs uvicorn: pip install "flyte_nb[server]"' in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"host": "0.0.0.0"}, "takes a token .* and TLS"),
        ({"host": "0.0.0.0", "token": TOKEN}, r"takes TLS \(--tls-cert"),
        ({"host": "192.168.1.5", "certificate": Path("c"), "key": Path("k")}, r"takes a token \(--token-file"),
        ({"certificate": Path("c")}, "both: --tls-cert FILE and --tls-key FILE"),
        ({"token": "short"}, "fewer than 16 characters"),
        ({"token": "a token with spaces in it"}, "without spaces"),
    ],
)
def test_a_server_that_would_let_anybody_in_does_not_start(asked: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=says):
        Serving(Home(tmp_path), **asked).check()


def test_other_machines_are_served_with_a_token_and_tls(home: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*made, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    options = ("--host", "0.0.0.0", "--token-file", str(token_file))
    with served(home, *options, "--tls-cert", str(certificate), "--tls-key", str(key)) as url:
        endpoint = f"dns:///localhost:{url.rpartition(':')[2]}"
        trust = {"insecure": False, "ca_cert_file_path": str(certificate)}
        env = {"SSL_CERT_FILE": str(certificate)}  # by which the client's plain downloads know the certificate
        with official_client(endpoint, tmp_path, env, token=TOKEN, **trust) as client:
            assert client("[run.name for run in remote.Run.listall()]") == ["adds"]
            assert "<b>done</b>" in client('remote.Run.get("adds").get_report()')  # a signed address, without token
            client.run(
                f"flyte.init(endpoint={endpoint!r}, ca_cert_file_path={str(certificate)!r}, auth_type='ClientSecret',"
                f" client_id='any', client_credentials_secret={TOKEN!r}, project='p', domain='d', org='o')"
            )
            assert client("[run.name for run in remote.Run.listall()]") == ["adds"]
            wrong = f"{trust | {'endpoint': endpoint, 'auth_type': 'ExternalCommand', 'command': ['echo', 'wrong']}!r}"
            client.run(f"flyte.init(**{wrong}, project='p', domain='d', org='o')")
            with pytest.raises(ClientError, match="The token is not this server's"):
                client("[run.name for run in remote.Run.listall()]")
        with one_session(tmp_path / ".flyte_nb"):
            show = {"auth_type": "ExternalCommand", "command": ["cat", str(token_file)]}
            flyte.init(endpoint=endpoint, ca_cert_file_path=str(certificate), project="p", domain="d", org="o", **show)
            try:
                assert [run.name for run in flyte.remote.Run.listall()] == ["adds"]
            finally:
                flyte.init()


def test_names_of_this_machine_are_known_with_and_without_a_port() -> None:
    access = Access("", local_only=True)
    for host in ("localhost", "localhost:80", "127.0.0.1:1", "[::1]:80", "LOCALHOST"):
        access.check_place({"host": host})
    for host in ("", "localhost.evil.example", "127.0.0.2", "[::2]:80"):
        with pytest.raises(PermissionError):
            access.check_place({"host": host})


def test_a_file_that_was_not_uploaded_is_none(tmp_path: Path) -> None:
    uploads = Uploads(Home(tmp_path))
    outside = tmp_path / "secret"
    outside.write_text("x")
    with pytest.raises(PermissionError):
        uploads.read(outside.as_uri())
    with pytest.raises(PermissionError):
        uploads.read("s3://bucket/key")
    with pytest.raises(FileNotFoundError, match="was not uploaded"):
        uploads.read((uploads.folder / "nothing").as_uri())
    uploads.folder.mkdir(parents=True)
    os.symlink(outside, uploads.folder / "link")
    with pytest.raises(PermissionError):
        uploads.read((uploads.folder / "link").as_uri())
