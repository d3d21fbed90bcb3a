"""Notebooks, and a worker reduced to its code: loads what is shipped to it, calls it, and passes its calls on.

Run as a program it reads pickled requests from its standard input and answers on its standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte_nb.authoring.context import Scope, current_scope
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.executors.crossing import pack_error, unpack_error
from flyte_nb.executors.frames import Code, TaskReference
from flyte_nb.executors.worker import namespace
from flyte_nb.types.signature import signature_of
from tests.engine.digest_program import Cells

__all__ = ["DECLARING", "PROJECT", "CodeWorker", "Notebook"]

PROJECT = Path(__file__).resolve().parent.parent.parent


DECLARING = """
import flyte_nb as flyte
env = flyte.TaskEnvironment("demo")
"""


class Notebook(Cells):
    """Cells whose namespace is `__main__`, as a kernel has it."""

    def __init__(self, main: ModuleType) -> None:
        super().__init__()
        self.names = vars(main)
        self.run(DECLARING)

    def run(self, source: str) -> None:
        super().run(textwrap.dedent(source))


class NoBlobs:
    """The values of these tests are small."""

    def put(self, parts: Any) -> str:
        raise AssertionError("too large for this test")

    def get(self, digest: str) -> Any:
        raise KeyError(digest)


BLOBS: Any = NoBlobs()


class CodeWorker:
    """The kernel's view of such a worker: calls tasks in it, and serves their calls of other tasks in this process.

    Args:
        shipper: ships the code.
    """

    def __init__(self, shipper: Shipper) -> None:
        self.shipper = shipper
        self.called: list[TaskTemplate[Any, Any]] = []
        self.traced: list[str] = []
        self.fetched: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])},
        )

    def __enter__(self) -> CodeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def call(self, template: TaskTemplate[Any, Any], *args: Any, **kwargs: Any) -> Any:
        """The result of a task, called in the worker."""
        return self.call_code(self.shipper.ship(template), template, *args, **kwargs)

    def call_code(self, code: Code, template: TaskTemplate[Any, Any], *args: Any, **kwargs: Any) -> Any:
        signature = signature_of(template)
        payload, _ = signature.encode_inputs(args, kwargs, BLOBS)
        self._send("call", code, payload)
        while True:
            assert self._process.stdout is not None
            kind, *content = pickle.load(self._process.stdout)
            if kind == "result":
                return signature.outputs_as_result(signature.decode_outputs(content[0], BLOBS))
            if kind == "error":
                raise unpack_error(content[0])
            self._serve(kind, *content)

    def _serve(self, kind: str, about: Any, payload: bytes) -> None:
        if kind == "trace":
            self.traced.append(about)
        elif kind == "fetch":
            self.fetched.append(about)
            self._send(self.shipper.ship(self.shipper.template(TaskReference(about))))
        else:
            template = self.shipper.template(about)
            self.called.append(template)
            signature = signature_of(template)
            result: Any = template.forward(**signature.decode_inputs(payload, BLOBS))
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
            self._send(signature.encode_outputs(result, BLOBS)[0])

    def _send(self, *content: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(content, self._process.stdin)
        self._process.stdin.flush()


class Attempt:
    """A call that runs."""


class Step:
    replayed = False
    value: Any = None

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def succeed(self, value: Any) -> None:
        return None

    def fail(self, error: BaseException) -> None:
        return None

    async def durable(self) -> None:
        return None

    def wait_durable(self) -> None:
        return None


class Worker:
    """Inside the process: the controller of what is called, and the loop around it."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what tasks print is no answer
        namespace.fetch = self._fetch

    def serve(self) -> None:
        while True:
            try:
                _, code, payload = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                self._send("result", self._call(code, payload))
            except Exception as error:  # what the task raised
                self._send("error", pack_error(error))

    def _call(self, code: Code, payload: bytes) -> bytes:
        task = namespace.load(code)
        scope: Any = Scope(self, Attempt())  # type: ignore[arg-type]
        token = current_scope.set(scope)
        try:
            result = task.function(**task.signature.decode_inputs(payload, BLOBS))
            if task.is_async:
                result = asyncio.run(result)
        finally:
            current_scope.reset(token)
        return task.signature.encode_outputs(result, BLOBS)[0]

    async def submit(self, scope: Scope, task: TaskTemplate[Any, Any], args: Any, kwargs: Mapping[str, Any]) -> Any:
        return self.submit_sync(scope, task, args, kwargs)

    def submit_sync(self, scope: Scope, task: TaskTemplate[Any, Any], args: Any, kwargs: Mapping[str, Any]) -> Any:
        signature = signature_of(task)
        self._send("submit", namespace.reference(task), signature.encode_inputs(args, kwargs, BLOBS)[0])
        (payload,) = pickle.load(sys.stdin.buffer)
        return signature.outputs_as_result(signature.decode_outputs(payload, BLOBS))

    def begin_trace(self, scope: Scope, function: Any, args: Any, kwargs: Any) -> Step:
        self._send("trace", namespace.code_of_trace(function), b"")
        return Step(scope)

    def _fetch(self, key: str) -> Code:
        self._send("fetch", key, b"")
        code: Code
        (code,) = pickle.load(sys.stdin.buffer)
        return code

    def _send(self, *content: Any) -> None:
        pickle.dump(content, self._out)
        self._out.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        Worker().serve()
