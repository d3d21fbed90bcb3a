"""Functions for the executor contract, in a module that workers of any interpreter can import."""
# ruff: noqa: ASYNC110, ASYNC240  (they wait for what other processes do)

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path


def doubles(x: int) -> int:
    return 2 * x


def raises() -> int:
    raise ValueError("unlucky")


def exits() -> int:
    raise SystemExit(3)


async def doubles_async(x: int) -> int:
    return 2 * x


async def raises_async() -> int:
    raise ValueError("unlucky")


async def exits_async() -> int:
    raise SystemExit(3)


def pid() -> int:
    return os.getpid()


async def says(text: str) -> str:
    print(text)
    return text


async def shows_variable(name: str) -> str:
    return os.environ.get(name, "")


async def waits(folder: str) -> int:
    Path(folder, "began").touch()
    try:
        await asyncio.sleep(3600)
    finally:
        Path(folder, "ended").touch()
    return 1


def waits_in_c(folder: str) -> int:
    Path(folder, "began").touch()
    time.sleep(3600)
    return 1


async def refuses(folder: str) -> int:
    Path(folder, "began").touch()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


async def lingers(folder: str) -> int:
    Path(folder, "began").touch()
    while not Path(folder, "go").exists():
        await asyncio.sleep(0.005)
    return os.getpid()
