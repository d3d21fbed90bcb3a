"""What the kernel and its workers say to each other: msgpack messages behind a length, over a socket pair.

    frame = length of the message in bytes (4, little endian) | message

Values do not travel in frames: a payload holds small ones, and names large ones by digest; both sides map the same
file of the value store. So a frame stays small, and a value that only passes through is never decoded on its way.

The messages of which there may be thousands at once are hidden from the garbage collector (`gc=False`): they are plain
data, which cannot refer to itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime

import msgspec

from flyte_nb.authoring.condition import Question
from flyte_nb.executors.log_settings import LogSettings

__all__ = [
    "DEPLOYED",
    "Answer",
    "Asked",
    "Cancel",
    "Code",
    "Displayed",
    "Done",
    "Enter",
    "Entry",
    "Execute",
    "Facts",
    "Fetch",
    "FrameReader",
    "FromWorker",
    "Printed",
    "Ready",
    "Reported",
    "Retire",
    "Ship",
    "Submit",
    "TaskReference",
    "ToWorker",
    "TraceBegan",
    "TraceEnded",
    "WorkerSettings",
    "Withdraw",
    "decode_settings",
    "encode",
    "encode_frame",
    "read_from_worker",
    "read_to_worker",
]

DEPLOYED = "deployed:"
"""Begins what a worker fetches when its code calls a deployed task: `deployed:NAME@VERSION`, `@` for the latest."""
LENGTH = struct.Struct("<I")
LIMIT_BYTES = (1 << 32) - 1
READ_BYTES = 1 << 18


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """A global name that shipped code reads."""

    module: str
    name: str
    digest: str
    """Of its content: a worker replaces what it holds under the name only when this changes."""
    pickled: bytes
    assigned: bool = False
    """Tasks assign it themselves: a worker that has it keeps its own."""


class Code(msgspec.Struct, array_like=True, frozen=True):
    """A task for another process: its template, and what its code reaches by name."""

    digest: str
    template: bytes
    """The template, pickled; other tasks in it are references by key."""
    entries: list[Entry]
    sources: dict[str, str]
    """Text of the cells that the code comes from, by file name, for tracebacks and `inspect`."""
    modules: dict[str, str]
    """The user's own modules that the code imports, with the digest of what the kernel has loaded of each."""
    globals_digest: str = ""
    """Of the digests of all entries."""
    version: str = ""
    """Of a deployed task, where code asked for one."""


class TaskReference(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A task that code in a worker calls."""

    key: str
    """Under which the kernel shipped it; empty for a task that was made in the worker."""
    changes: bytes = b""
    """What `override` changed since: pickled fields by name; of a task made in the worker, the pickled template."""


class Facts(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What `flyte.ctx()` shows."""

    run: str
    action: str
    attempt: int
    """From 1."""
    raw_data_path: str
    run_base_dir: str
    disable_run_cache: bool
    run_start_time: datetime
    custom_context: dict[str, str]
    group: str | None = None
    notebook: str = ""
    cell: str = ""
    replays: bool = False
    """Steps of traced functions may be on record: the worker asks before it takes one."""
    checkpoint: str = ""
    """What was saved last before this attempt; empty when nothing was."""
    version: str = ""
    """Of the deployed task whose code runs; empty, as in Flyte, for code that was not deployed."""


class WorkerSettings(msgspec.Struct, array_like=True, frozen=True):
    """What a worker is told once, when it starts."""

    variables: dict[str, str]
    """Environment variables, set before any user code runs."""
    cpus: float
    """Native thread pools (BLAS, OpenMP) get as many threads, at least one; 0 leaves them alone."""
    folder: str
    """Working directory."""
    path: list[str]
    """`sys.path` of the kernel."""
    blobs: tuple[str, str]
    """How to open the value store: `module:function`, and its argument."""
    data_limit_bytes: int = 0
    """Bound of RLIMIT_DATA beyond what is mapped at the start; 0 is none."""
    logs: LogSettings = LogSettings()
    """How the kernel logs."""
    preload: list[str] = []
    """Modules that the kernel has imported and that are worth having before the fork."""
    is_flyte: bool = False
    """`import flyte` gives flyte_nb, as in the kernel."""


# ---------------------------------------------------------------- kernel -> worker


class Ship(msgspec.Struct, array_like=True, tag="ship", frozen=True):
    """Code, once per worker; calls name it by its digest."""

    code: Code
    """Its entries lack their content."""
    contents: dict[str, bytes]
    """By digest: the content that no earlier code has brought."""


class Enter(msgspec.Struct, array_like=True, tag="enter", frozen=True):
    """Change the working folder, as the kernel has."""

    folder: str


class Execute(msgspec.Struct, array_like=True, tag="execute", frozen=True, gc=False):
    call: int
    code: str
    payload: bytes
    facts: Facts


class Cancel(msgspec.Struct, array_like=True, tag="cancel", frozen=True):
    """End a call: politely, soon; who does not is killed."""

    call: int


class Answer(msgspec.Struct, array_like=True, tag="answer", frozen=True, gc=False):
    """To a `Submit`, an `Asked`, a `TraceBegan` that asks, a `TraceEnded` or a `Fetch`."""

    request: int
    payload: bytes | None = None
    error: bytes | None = None
    """A packed exception, see `flyte_nb.executors.crossing`."""
    cancelled: bool = False
    code: Code | None = None


class Retire(msgspec.Struct, array_like=True, tag="retire", frozen=True):
    """End the process."""


# ---------------------------------------------------------------- worker -> kernel


class Ready(msgspec.Struct, array_like=True, tag="ready", frozen=True):
    pid: int


class Done(msgspec.Struct, array_like=True, tag="done", frozen=True, gc=False):
    call: int
    payload: bytes | None = None
    error: bytes | None = None
    cancelled: bool = False
    note: str = ""
    stored: list[str] = []


class Submit(msgspec.Struct, array_like=True, tag="submit", frozen=True, gc=False):
    request: int
    call: int
    task: TaskReference
    payload: bytes
    group: str | None
    custom_context: dict[str, str]
    stored: list[str] = []


class Asked(msgspec.Struct, array_like=True, tag="ask", frozen=True):
    """The code waits for the answer to a question."""

    request: int
    call: int
    question: Question
    group: str | None
    custom_context: dict[str, str]


class Withdraw(msgspec.Struct, array_like=True, tag="withdraw", frozen=True):
    """The code that waited for a request was cancelled."""

    request: int


class TraceBegan(msgspec.Struct, array_like=True, tag="trace", frozen=True):
    call: int
    step: int
    name: str
    code: str
    """Digest of the function's code, as the kernel attached it; `module:name` of one that the worker imported."""
    names: list[tuple[str, str]]
    payload: bytes
    group: str | None
    stored: list[str] = []
    request: int = 0
    """Answered with the recorded result, if there is one; 0 where nobody asks."""


class TraceEnded(msgspec.Struct, array_like=True, tag="traced", frozen=True):
    request: int
    call: int
    step: int
    payload: bytes | None = None
    error: bytes | None = None
    stored: list[str] = []


class Fetch(msgspec.Struct, array_like=True, tag="fetch", frozen=True):
    request: int
    call: int
    key: str


class Printed(msgspec.Struct, array_like=True, tag="print", frozen=True):
    call: int
    stream: str
    text: str


class Displayed(msgspec.Struct, array_like=True, tag="display", frozen=True):
    call: int
    bundle: str


class Reported(msgspec.Struct, array_like=True, tag="report", frozen=True):
    call: int
    html: str


ToWorker = Ship | Enter | Execute | Cancel | Answer | Retire
FromWorker = Ready | Done | Submit | Asked | Withdraw | TraceBegan | TraceEnded | Fetch | Printed | Displayed | Reported

encode = msgspec.msgpack.Encoder().encode
read_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
read_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
decode_settings = msgspec.msgpack.Decoder(WorkerSettings).decode


def encode_frame(message: ToWorker | FromWorker) -> bytes:
    """The bytes of a message on the wire.

    Raises:
        ValueError: it is larger than 4 GB.
    """
    body = encode(message)
    if len(body) > LIMIT_BYTES:
        raise ValueError(f"a message of {len(body):,} bytes cannot be sent to or from a worker")
    return LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into messages, however it arrives.

    Attributes:
        room: where what arrives is put. The same for every read: to allocate it each time takes longer than to read.
    """

    def __init__(self) -> None:
        self.room = memoryview(bytearray(READ_BYTES))
        self._buffer = bytearray()

    def feed(self, count: int) -> Iterator[bytes]:
        """The messages that are whole now, given that so many bytes have been put into the room."""
        buffer = self._buffer
        buffer += self.room[:count]
        start = 0
        try:
            while len(buffer) - start >= LENGTH.size:
                (length,) = LENGTH.unpack_from(buffer, start)
                end = start + LENGTH.size + length
                if len(buffer) < end:
                    break
                message = bytes(buffer[start + LENGTH.size : end])
                start = end
                yield message
        finally:
            del buffer[:start]
