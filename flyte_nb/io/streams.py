"""Open files for async code: every operation runs on a thread, so that the event loop is never blocked by a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import IO, Any

from flyte_nb.io.hashing import HashMethod

__all__ = ["AsyncFile", "HashingWriter"]


class AsyncFile:
    """A file whose operations are awaitable.

    Args:
        file: the open file.
    """

    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    @property
    def closed(self) -> bool:
        """True once the file is closed."""
        return self._file.closed

    async def read(self, size: int = -1) -> Any:
        """The next `size` bytes or characters, all that is left when negative."""
        return await asyncio.to_thread(self._file.read, size)

    async def readline(self, size: int = -1) -> Any:
        """The next line."""
        return await asyncio.to_thread(self._file.readline, size)

    async def readlines(self, hint: int = -1) -> list[Any]:
        """The lines that are left."""
        return await asyncio.to_thread(self._file.readlines, hint)

    async def write(self, data: Any) -> int:
        """Writes; returns how much."""
        return await asyncio.to_thread(self._file.write, data)

    async def writelines(self, lines: Iterable[Any]) -> None:
        """Writes each of the lines, which bring their own line ends."""
        await asyncio.to_thread(self._file.writelines, lines)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Moves to a position; returns it."""
        return await asyncio.to_thread(self._file.seek, offset, whence)

    async def tell(self) -> int:
        """The position."""
        return await asyncio.to_thread(self._file.tell)

    async def flush(self) -> None:
        """Hands what was written to the operating system."""
        await asyncio.to_thread(self._file.flush)

    async def close(self) -> None:
        """Closes the file."""
        await asyncio.to_thread(self._file.close)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while line := await self.readline():
            yield line


class HashingWriter:
    """A file that is being written, and the hash of what was written so far."""

    def __init__(self, file: IO[Any], accumulator: HashMethod) -> None:
        self._file = file
        self._accumulator = accumulator

    def result(self) -> str:
        """The hash of what was written so far."""
        return self._accumulator.result()

    def write(self, data: Any) -> int:
        """Writes; returns how much."""
        self._accumulator.update(data)
        return self._file.write(data)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Writes each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
