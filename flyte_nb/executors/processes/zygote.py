"""The zygote: a process with one thread that has imported what workers need, and is forked for each of them.

    kernel --Preload, Start (with the worker's socket and outputs)--> zygote --fork--> worker
           <--Started, Refused, Exited, Unfit--                          zygote <--SIGCHLD-- worker

It is the parent of the workers and the subreaper of what they leave behind. When its socket ends, the kernel is gone:
then it kills them all and leaves. It never decodes what a worker is told; that goes over the worker's own socket.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

import msgspec

from flyte_nb.executors.processes import entrance, native_threads, offspring

__all__ = ["Exited", "FromZygote", "Preload", "Refused", "Start", "Started", "ToZygote", "Unfit", "main"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MESSAGE_BYTES = 1 << 16


class Preload(msgspec.Struct, array_like=True, tag="preload", frozen=True):
    """Import modules, so that workers need not."""

    modules: list[tuple[str, str]]
    """Name, and the file that the kernel has it from; an empty text accepts any."""


class Start(msgspec.Struct, array_like=True, tag="start", frozen=True):
    """Fork a worker. With it come three file descriptors: its socket, and where its two outputs go."""

    number: int


class Started(msgspec.Struct, array_like=True, tag="started", frozen=True):
    number: int
    pid: int


class Refused(msgspec.Struct, array_like=True, tag="refused", frozen=True):
    """There is no such worker."""

    number: int
    reason: str


class Exited(msgspec.Struct, array_like=True, tag="exited", frozen=True):
    """A worker has ended, and what it left behind was killed."""

    pid: int
    status: int
    """As `os.waitpid` gives it."""


class Unfit(msgspec.Struct, array_like=True, tag="unfit", frozen=True):
    """Modules that no process may be forked with. Without any the zygote itself is unfit."""

    modules: list[str]
    reason: str


ToZygote = Preload | Start
FromZygote = Started | Refused | Exited | Unfit

_decode = msgspec.msgpack.Decoder(ToZygote).decode
_encode = msgspec.msgpack.Encoder().encode
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def main(order: dict[str, Any]) -> None:
    """Serves the kernel until it is gone.

    Args:
        order: `socket` is the number of this end of the socket, `kernel` the kernel's process id, `entry` what workers
            run. `modules` and `workers` are what the zygote had when it started over.
    """
    _Zygote(order).serve()


class _Zygote:
    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._pid = os.getpid()
        self._kernel: int = order["kernel"]
        self._control = socket.socket(fileno=order["socket"])
        self._control.set_inheritable(False)
        self._workers: set[int] = set(order.get("workers", ()))
        self._modules: list[tuple[str, str]] = []
        self._setters: list[native_threads.Setter] = []
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> NoReturn:
        self._watch_over_kernel()
        self._entry = entrance.find_entry(self._order["entry"])
        if reason := _unfit():
            self._send(Unfit([], reason))
            self._end()
        self._preload([(name, file) for name, file in self._order.get("modules", ())])
        ready = select.poll()
        ready.register(self._control, select.POLLIN)
        ready.register(self._woken, select.POLLIN)
        self._reap()
        while True:
            for descriptor, _ in ready.poll():
                if descriptor == self._woken:
                    os.read(self._woken, MESSAGE_BYTES)
                    self._reap()
                else:
                    self._receive()

    # ---------------------------------------------------------------- the kernel

    def _watch_over_kernel(self) -> None:
        """Sees to it that no kernel means no zygote, even when a fork of the kernel keeps the socket open."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # for the workers, until they have their own handler
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self._end_if_orphan())
        _set(PR_SET_PDEATHSIG, signal.SIGTERM)
        _set(PR_SET_CHILD_SUBREAPER, 1)
        self._end_if_orphan()

    def _end_if_orphan(self) -> None:
        """The signal comes whenever the kernel's thread ends that started the zygote; others may live on."""
        if os.getpid() == self._pid and os.getppid() != self._kernel:
            self._end()

    def _end(self) -> NoReturn:
        """Kills everything that ever came from here, and leaves."""
        while True:
            for pid in offspring.children(self._pid):
                offspring.kill(pid)
            try:
                os.waitpid(-1, 0)  # the children of the one that ended are ours now
            except ChildProcessError:
                os._exit(0)

    def _send(self, message: FromZygote) -> None:
        try:
            self._control.send(_encode(message))
        except OSError:
            self._end()

    def _receive(self) -> None:
        if reason := _unfit_threads():
            self._start_over([], [name for name, _ in self._modules], reason)
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 3, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            data = b""
        if not data:
            self._end()
        message = _decode(data)
        if isinstance(message, Preload):
            self._preload(message.modules)
        else:
            self._fork(message.number, *descriptors)

    # ---------------------------------------------------------------- modules

    def _preload(self, modules: list[tuple[str, str]]) -> None:
        importlib.invalidate_caches()
        for position, (name, file) in enumerate(modules):
            try:
                if not _is_same(name, file):
                    break  # what comes after may be built on it
                importlib.import_module(name)
            except Exception:  # whatever a module raises: its importer, in a worker, will see it
                traceback.print_exc()
                continue
            if reason := _unfit():
                self._start_over([*self._modules, *modules[position + 1 :]], [name], reason)
            self._modules.append((name, file))
        self._setters = native_threads.setters()
        gc.collect()
        gc.freeze()  # so that collections in a worker do not copy the pages

    def _start_over(self, modules: list[tuple[str, str]], unfit: list[str], reason: str) -> NoReturn:
        """The same process, its workers and its socket, with a new interpreter."""
        self._send(Unfit(unfit, reason))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # survives the exec; its default action would end us
        self._control.set_inheritable(True)
        order = {**self._order, "modules": modules, "workers": sorted(self._workers)}
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:-1], json.dumps(order)])

    # ---------------------------------------------------------------- workers

    def _fork(self, number: int, sock: int, *outputs: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._send(Refused(number, f"{type(error).__name__}: {error}"))
        else:
            if pid == 0:
                self._become_worker(sock, *outputs)
            self._workers.add(pid)
            self._send(Started(number, pid))
        finally:
            for descriptor in (sock, *outputs):
                os.close(descriptor)

    def _become_worker(self, sock: int, *outputs: int) -> NoReturn:
        try:
            os.setsid()
            _set(PR_SET_PDEATHSIG, signal.SIGKILL)
            _set(PR_SET_CHILD_SUBREAPER, 1)  # its daemons stay its own, until it ends
            if os.getppid() != self._pid:
                os._exit(0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._control.close()
            os.close(self._woken)
            os.close(self._wake)
            for standard, output in enumerate(outputs, 1):
                os.dup2(output, standard)
                os.close(output)
            entrance.run(self._entry, socket.socket(fileno=sock), self._setters)
        except BaseException:  # a worker never goes back to where the zygote was
            traceback.print_exc()
        finally:
            os._exit(1)

    def _reap(self) -> None:
        """Takes note of the children that have ended, and kills what workers have left behind."""
        exited = []
        while (pid := _ended_child()) is not None:
            offspring.kill(pid)  # its process group: the number is its own as long as it was not waited for
            _, status = os.waitpid(pid, 0)
            if pid in self._workers:
                self._workers.discard(pid)
                exited.append(Exited(pid, status))
        for pid in offspring.children(self._pid):
            if pid not in self._workers:
                offspring.kill(pid)
        for message in exited:
            self._send(message)


def _ended_child() -> int | None:
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return ended.si_pid if ended is not None else None


def _is_same(name: str, file: str) -> bool:
    """Whether a module is imported from where the kernel has it."""
    if not file:
        return True
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin == file


def _unfit() -> str:
    """Why this process may not be forked, or an empty text."""
    if reason := _unfit_threads():
        return reason
    openmp = native_threads.loaded_openmp()
    return f"{openmp} would not let a worker choose its number of threads" if openmp else ""


def _unfit_threads() -> str:
    threads = os.listdir("/proc/self/task")
    return f"it has {len(threads)} threads" if len(threads) > 1 else ""


def _set(option: int, value: int) -> None:
    assert _prctl is not None
    _prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def _nothing(*_: object) -> None:
    """A handler, so that the signal wakes the loop."""
