"""The process executor: attempts in worker processes, warm ones of a pool or a fresh one each.

placement.reuse    -> Pool of the environment -> Worker.run
otherwise          -> admission -> a fresh process -> Worker.run -> the process is retired
placement.image    -> the same, with an interpreter built from the image
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from itertools import count
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from flyte_nb.as_flyte import is_installed
from flyte_nb.executors.base import Call, Outcome
from flyte_nb.executors.frames import WorkerSettings
from flyte_nb.executors.images.virtualenv import BuiltEnvironment, Virtualenvs
from flyte_nb.executors.limits.admission import Admission, Lease
from flyte_nb.executors.limits.machine import this_machine
from flyte_nb.executors.limits.memory import MemoryWatch, data_limit_bytes
from flyte_nb.executors.log_settings import present_log_settings
from flyte_nb.executors.placement import Needs, Placement
from flyte_nb.executors.pool import Clock, Pool
from flyte_nb.executors.processes.interpreter import Interpreter
from flyte_nb.executors.processes.spawning import Spawner, Zygote, default_spawner
from flyte_nb.executors.standing import WorkerState, state_of
from flyte_nb.executors.workers import Worker

__all__ = ["ProcessExecutor"]


DEVICES = "CUDA_VISIBLE_DEVICES"
NO_VARIABLES: dict[str, str] = {}
PRELOAD = (
    "numpy",
    "pyarrow",
    "pyarrow.parquet",
    "pandas",
    "scipy",
    "scipy.linalg",
    "scipy.stats",
    "matplotlib.pyplot",
)
"""What workers inherit from the zygote when the kernel has it, rather than import it each."""


class PoolKey(NamedTuple):
    """What calls must agree in to share workers."""

    environment: str
    scope: str
    interpreter: str
    variables: tuple[tuple[str, str], ...]
    needs: Needs
    policy: str

    @classmethod
    def of(cls, placement: Placement, interpreter: str, variables: Mapping[str, str]) -> PoolKey:
        """The key of a placement with a policy.

        Args:
            interpreter: of its workers.
            variables: those that the interpreter's image sets.
        """
        set_variables = tuple(sorted({**variables, **placement.variables}.items()))
        policy = repr(placement.reuse)
        return cls(placement.environment, placement.scope, interpreter, set_variables, placement.needs, policy)


class ProcessExecutor:
    """Runs calls in processes of their own. Lives on the engine loop.

    Args:
        blobs: how a worker opens the value store: `module:function`, and its argument.
        admission: to the machine; one made for it by default.
        clock: for the times to live of idle workers; the loop by default.
    """

    name = "process"

    def __init__(self, blobs: tuple[str, str], admission: Admission | None = None, clock: Clock | None = None) -> None:
        self.admission = admission or Admission(this_machine())
        self._blobs = blobs
        self._clock = clock
        self._watch = MemoryWatch()
        self._virtualenvs = Virtualenvs()
        self._built: WeakKeyDictionary[Placement, BuiltEnvironment] = WeakKeyDictionary()
        self._spawners: dict[str, Spawner] = {}
        self._pools: dict[PoolKey, Pool] = {}
        self._pool_of: WeakKeyDictionary[Placement, Pool] = WeakKeyDictionary()
        """Where the calls of a placement go, once that is known."""
        self._workers: set[Worker] = set()
        """Those that take calls."""
        self._connected: WeakSet[Worker] = WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def execute(self, call: Call) -> Coroutine[Any, Any, Outcome]:
        """Runs one call; see `flyte_nb.executors.base.Executor`."""
        pool = self._pool_of.get(call.placement)
        if pool is not None:
            return pool.run(call)
        self.admission.check(call.placement.needs, call.name)
        if call.placement.isolation == "virtualenv":
            return self._execute_in_virtualenv(call)
        return self._execute_with(call, "", NO_VARIABLES)

    @property
    def pools(self) -> list[Pool]:
        """The pools that have been started."""
        return list(self._pools.values())

    def standing(self) -> list[WorkerState]:
        """Its processes: those of pools by environment, then those of single attempts. From any thread."""
        states = []
        pooled: set[Worker] = set()
        for key, pool in list(self._pools.items()):
            workers = pool.workers
            pooled.update(workers)
            states += [state_of(worker, key.environment) for worker in workers]
            states += [WorkerState(key.environment, state="starting")] * pool.starting
        return states + [state_of(worker, "") for worker in list(self._workers) if worker not in pooled]

    async def wind_down(self, environment: str | None = None) -> int:
        """Retires the workers of pools, when their calls are over; the next call starts others.

        Args:
            environment: only of its pools.

        Returns:
            How many workers that were.
        """
        ended = [key for key in self._pools if environment in (None, key.environment)]
        pools = [self._pools.pop(key) for key in ended]
        self._pool_of.clear()
        count = sum(len(pool.workers) for pool in pools)
        for pool in pools:
            pool.wind_down()
        return count

    def end_scope(self, scope: str) -> None:
        """Ends the pools that belonged to a run, now that it is over."""
        for key in [key for key in self._pools if key.scope == scope]:
            self._pools.pop(key).close()
        self._pool_of.clear()

    def close(self) -> None:
        """Ends every process. Callable from any thread, also when the loop does not answer."""
        self._is_closed = True
        for worker in list(self._workers):
            worker.process.kill()
        for spawner in self._spawners.values():
            spawner.close()
        self._virtualenvs.close()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._disconnect)

    def _disconnect(self) -> None:
        for pool in self._pools.values():
            pool.close()
        for worker in list(self._connected):
            worker.disconnect()

    # ---------------------------------------------------------------- interpreters

    async def _execute_in_virtualenv(self, call: Call) -> Outcome:
        interpreter, variables = await self._interpreter(call)
        return await self._execute_with(call, interpreter, variables)

    async def _interpreter(self, call: Call) -> tuple[str, dict[str, str]]:
        """The interpreter that is built from the image of a call, and the variables that the image sets."""
        placement = call.placement
        built = self._built.get(placement)
        if built is None:
            built = self._built[placement] = await self._virtualenvs.interpreter(
                placement.image, lambda text: call.moved("initializing", f"image: {text}"), placement.environment
            )
        if built.python not in self._spawners:
            self._spawners[built.python] = Zygote(Interpreter(built.python, built.support))
        return built.python, dict(built.variables)

    # ---------------------------------------------------------------- processes

    def _execute_with(self, call: Call, interpreter: str, variables: dict[str, str]) -> Coroutine[Any, Any, Outcome]:
        placement = call.placement
        if placement.reuse is None:
            return self._run_fresh(call, interpreter, variables)
        return self._pool(placement, interpreter, variables).run(call)

    async def _run_fresh(self, call: Call, interpreter: str, variables: dict[str, str]) -> Outcome:
        placement = call.placement
        lease = await self.admission.enter(placement.needs, lambda: call.moved("waiting_for_resources", ""))
        try:
            call.moved("initializing", "")
            settings = self._settings(placement, variables, lease)
            worker = await self._start(interpreter, "process", settings, placement.needs, _nobody)
            call.seat = lease
            call.moved("running", worker.name)
            try:
                return await worker.run(call)
            finally:
                worker.retire()
        finally:
            lease.release()

    def _pool(self, placement: Placement, interpreter: str, variables: dict[str, str]) -> Pool:
        key = PoolKey.of(placement, interpreter, variables)
        pool = self._pools.get(key)
        if pool is None:
            policy = placement.reuse
            assert policy is not None
            clock = self._clock or asyncio.get_running_loop()
            numbers = count(1)

            async def start(gone: Callable[[Worker], None]) -> Worker:
                return await self._start_pooled(key, placement, f"{key.environment} worker {next(numbers)}", gone)

            pool = self._pools[key] = Pool(policy, start, self.admission, placement.needs, clock)
        self._pool_of[placement] = pool
        return pool

    async def _start_pooled(
        self, key: PoolKey, placement: Placement, name: str, gone: Callable[[Worker], None]
    ) -> Worker:
        """Starts a worker of a pool; its devices are its own while it lives."""
        devices = await self.admission.enter(Needs(gpus=placement.needs.gpus)) if placement.needs.gpus else None

        def ended(worker: Worker) -> None:
            if devices is not None:
                devices.release()
            gone(worker)

        try:
            settings = self._settings(placement, dict(key.variables), devices)
            worker = await self._start(key.interpreter, name, settings, placement.needs, ended)
        except BaseException:
            if devices is not None:
                devices.release()
            raise
        if devices is not None:
            worker.devices = devices
            devices.pause()
        return worker

    async def _start(
        self, interpreter: str, name: str, settings: WorkerSettings, needs: Needs, ended: Callable[[Worker], None]
    ) -> Worker:
        spawner = self._spawners.get(interpreter)
        if spawner is None:
            spawner = self._spawners[interpreter] = default_spawner()
        self._loop = asyncio.get_running_loop()
        process = await spawner.start(settings)

        def forget(worker: Worker) -> None:
            self._workers.discard(worker)
            ended(worker)

        worker = Worker(process, name, needs.memory_bytes, self._watch, forget)
        worker.folder = settings.folder
        self._workers.add(worker)
        self._connected.add(worker)
        if self._is_closed:  # while it was starting
            process.kill()
        await worker.connect()
        return worker

    def _settings(self, placement: Placement, variables: dict[str, str], lease: Lease | None) -> WorkerSettings:
        variables = {**variables, **placement.variables}
        if lease is not None and placement.needs.gpus:
            variables[DEVICES] = ",".join(lease.devices)
        limit = placement.needs.memory_bytes
        return WorkerSettings(
            variables=variables,
            cpus=placement.needs.cpu,
            folder=placement.folder,
            path=list(sys.path),
            blobs=self._blobs,
            data_limit_bytes=data_limit_bytes(limit) if limit is not None else 0,
            logs=present_log_settings(),
            preload=[self._blobs[0].partition(":")[0], *(name for name in PRELOAD if name in sys.modules)],
            is_flyte=is_installed(),
        )


def _nobody(worker: Worker) -> None:
    return None
