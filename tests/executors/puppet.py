"""A worker that does what it is told: runs the Python that comes over its socket, and answers with `answer`."""

from __future__ import annotations

import json
import socket
import struct
import traceback
from typing import Any

from flyte_nb.executors.frames import WorkerSettings

LENGTH = struct.Struct("<I")


def main(sock: socket.socket, settings: WorkerSettings) -> None:
    names: dict[str, Any] = {"settings": settings}
    while True:
        head = sock.recv(LENGTH.size, socket.MSG_WAITALL)
        if not head:
            return
        code = sock.recv(LENGTH.unpack(head)[0], socket.MSG_WAITALL).decode()
        names["answer"] = None
        try:
            exec(code, names)
        except Exception:
            names["answer"] = traceback.format_exc()
        reply = json.dumps(names["answer"]).encode()
        sock.sendall(LENGTH.pack(len(reply)) + reply)
