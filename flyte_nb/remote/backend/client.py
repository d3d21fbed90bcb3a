"""The process in which the official SDK lives. The kernel never imports `flyte`: it asks here.

One process for an endpoint with its credentials, started with the first call, started again when it dies, ended with
the kernel (its standard input ends).
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import Future
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any, NamedTuple, TypeVar

import msgspec

from flyte_nb.errors import InitializationError, RuntimeSystemError
from flyte_nb.remote.backend.messages import Answer, Call, Failure, read_frame, write_frame

__all__ = ["UNANSWERED", "Client", "Connection", "check_installed"]

T = TypeVar("T")

MODULE = "flyte_nb.remote.backend.sdk.main"
NAMES_OF_CODES = {"not_found": KeyError, "invalid_argument": ValueError, "already_exists": ValueError}
ERRORS = {error.__name__: error for error in (KeyError, ValueError, TypeError, NotImplementedError, TimeoutError)}
"""What is raised here again as what it was in the SDK's process; all else is a RuntimeSystemError that names it."""
UNANSWERED = (ConnectionError, InitializationError, PermissionError, RuntimeSystemError)
"""What is raised where a backend does not answer, or not as it should; whoever can wait asks again."""
TRANSPORT_WORDS = ("Request failed: ", "Error reading content: ")
OS_NUMBER = re.compile(r" \(os error \d+\)$")


class Connection(NamedTuple):
    """How a backend is reached.

    Attributes:
        how: the function of the official SDK that connects: `init`, `init_from_config` ...
        settings: its arguments, pickled as `flyte_nb.remote.backend.translation` does.
        endpoint: for people.
    """

    how: str
    settings: bytes
    endpoint: str


class Client:
    """Asks the process of the official SDK. Every method may be called from any thread.

    Args:
        connection: how the backend is reached.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def call(self, name: str, kind: type[T], /, **arguments: Any) -> T:
        """Asks and waits for the answer.

        Args:
            name: of the call; see `flyte_nb.remote.backend.sdk.main`.
            kind: type of the answer.
            arguments: msgpack-able.

        Raises:
            KeyError: the backend does not know what was asked for.
            ConnectionError: the backend cannot be reached, or the process ended.
            PermissionError: the backend does not accept the credentials.
            flyte_nb.errors.RuntimeSystemError: any other error of the backend or of the SDK.
        """
        return msgspec.convert(self.ask(name, **arguments).result(), kind)

    def ask(self, name: str, /, **arguments: Any) -> Future[Any]:
        """Asks; the answer is as it came, and raises as `call` does."""
        return self._connected().ask(name, arguments)

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None

    def _connected(self) -> _Process:
        with self._lock:
            if self._process is None or not self._process.is_alive():
                check_installed()
                if self._process is not None:
                    self._process.close()
                process = _Process(self.connection.endpoint)
                connection = {"how": self.connection.how, "settings": self.connection.settings}
                try:
                    process.ask("connect", connection).result()
                except BaseException:  # refused by the SDK, or Ctrl-C meanwhile: raised again, no process is left
                    process.close()
                    raise
                self._process = process
            return self._process


class _Process:
    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Any]] = {}
        self._has_ended = False
        """Whether nothing is read any more: what is asked then has no answer."""
        self._lock = threading.Lock()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Jupyter's Stop interrupts the kernel's whole group
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._calls, self._answers = self._process.stdin, self._process.stdout
        self._reader = threading.Thread(target=self._read, args=(self._answers,), name="flyte_nb-backend", daemon=True)
        self._reader.start()
        atexit.register(self.close)

    def is_alive(self) -> bool:
        return self._process.poll() is None and self._reader.is_alive()

    def ask(self, name: str, arguments: dict[str, Any]) -> Future[Any]:
        answer: Future[Any] = Future()
        call = Call(next(self._numbers), name, arguments)
        with self._lock:
            self._waiting[call.number] = answer
            try:
                write_frame(self._calls, call)
            except (BrokenPipeError, ValueError):  # it ended, or was closed
                self._has_ended = True
            if self._has_ended:
                del self._waiting[call.number]
                answer.set_exception(self._ended())
        return answer

    def close(self) -> None:
        """Ends the process, which sees the end of its input; kills it where it does not."""
        atexit.unregister(self.close)
        with contextlib.suppress(BrokenPipeError):
            self._calls.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._answers.close()

    def _read(self, stream: IO[bytes]) -> None:
        decoder = msgspec.msgpack.Decoder(Answer)
        while (frame := read_frame(stream)) is not None:
            answer = decoder.decode(frame)
            with self._lock:
                waiting = self._waiting.pop(answer.number)
            if answer.failure is None:
                waiting.set_result(answer.value)
            else:
                waiting.set_exception(_error_of(answer.failure, self._endpoint))
        with self._lock:
            self._has_ended = True
            left, self._waiting = self._waiting, {}
        for waiting in left.values():
            waiting.set_exception(self._ended())

    def _ended(self) -> ConnectionError:
        return ConnectionError(
            f"The process that talks to {self._endpoint} ended (exit code {self._process.poll()}); the next call "
            "starts another one."
        )


def check_installed() -> None:
    """Raises InitializationError where the official SDK is missing; it is not imported."""
    try:
        version("flyte")
    except PackageNotFoundError:
        raise InitializationError(
            "SDKNotInstalled",
            "user",
            'Backends are reached through Flyte\'s own SDK, which is not installed: pip install "flyte_nb[remote]"',
        ) from None


def _error_of(failure: Failure, endpoint: str) -> Exception:
    match failure.code:
        case "unavailable" | "deadline_exceeded":
            return ConnectionError(
                f"{endpoint} does not answer: {_cause(failure.message)}. Check the address and that the backend runs, "
                "or go on locally: flyte.init()."
            )
        case "unauthenticated" | "permission_denied":
            return PermissionError(f"{endpoint} refuses the credentials: {failure.message}")
        case "InitializationError":
            return InitializationError("InitializationError", "user", failure.message)
    kind = NAMES_OF_CODES.get(failure.code) or ERRORS.get(failure.code)
    if kind is not None:
        return kind(failure.message)
    error = RuntimeSystemError(failure.code, f"{endpoint}: {failure.message}")
    if failure.traceback:
        error.add_note(failure.traceback)
    return error


def _cause(message: str) -> str:
    """The last link of the chain that the SDK's transport makes of an error, else the message as it is."""
    if not message.startswith(TRANSPORT_WORDS):
        return message
    return OS_NUMBER.sub("", message.rpartition(": ")[2])
