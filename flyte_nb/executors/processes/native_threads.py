"""How many threads native code uses: BLAS, OpenMP and the like.

Libraries that load later read environment variables. OpenBLAS and numexpr, where a worker has inherited them, are told
by a call. OpenMP has no such call for all threads of a process, so a zygote does not keep it: see `loaded_openmp`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SINGLE", "Setter", "apply", "loaded_openmp", "setters"]

Setter = Callable[[int], object]

VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
SINGLE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_THREAD_TIMEOUT": "20",
    "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Environment variables with which the common libraries start no threads when they are imported. Those that start them
at the first use only are left alone: they would remember.

A thread of OpenBLAS that has nothing to do spins for 2 ** 28 cycles before it sleeps: each worker that is given threads
would take a core for 100 ms. With 2 ** 20 cycles products of matrices are as fast.
"""

OPENBLAS_PREFIXES = ("", "scipy_")
OPENBLAS_SUFFIXES = ("", "64_", "_64")
OPENMP_NAMES = ("libgomp", "libomp", "libiomp")


def setters() -> list[Setter]:
    """The functions that set the number of threads of the libraries that this process has loaded."""
    numexpr: Any = sys.modules.get("numexpr")
    found: list[Setter] = [] if numexpr is None else [numexpr.set_num_threads]
    for path in _loaded_libraries():
        if "openblas" not in os.path.basename(path):
            continue
        library = ctypes.CDLL(path)
        names = (
            f"{prefix}openblas_set_num_threads{suffix}" for prefix in OPENBLAS_PREFIXES for suffix in OPENBLAS_SUFFIXES
        )
        found += [getattr(library, name) for name in names if hasattr(library, name)][:1]
    return found


def loaded_openmp() -> str:
    """The file name of an OpenMP runtime that this process has loaded, or an empty text."""
    names = map(os.path.basename, _loaded_libraries())
    return next((name for name in names if name.startswith(OPENMP_NAMES)), "")


def apply(cpus: float, variables: Mapping[str, str], loaded: list[Setter]) -> None:
    """Gives native code as many threads as there are cpus, at least one.

    Args:
        cpus: 0 leaves it to the environment variables, and without them to the libraries: one per core.
        variables: set by the user; they win.
        loaded: see `setters`.
    """
    if cpus > 0:
        for name in VARIABLES:
            if name not in variables:
                os.environ[name] = str(max(1, int(cpus)))
    if loaded:
        threads = _number("OPENBLAS_NUM_THREADS") or _number("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))
        for setter in loaded if threads > 1 else ():
            setter(threads)


def _number(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else 0


def _loaded_libraries() -> list[str]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        return sorted({line[line.index("/") :].rstrip("\n") for line in maps if ".so" in line and "/" in line})
