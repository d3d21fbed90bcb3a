"""Somebody who is told by a webhook, and answers at the address that it is told."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

__all__ = ["Webhook", "post"]

TOLD_SECONDS = 60.0


class Webhook(HTTPServer):
    """Keeps what is posted."""

    timeout = TOLD_SECONDS

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Listener)
        self.told: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Listener(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(HTTPStatus.OK)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def post(address: str, body: bytes) -> str:
    """Posts an answer; what comes back, behind its status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, method="POST")) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"
