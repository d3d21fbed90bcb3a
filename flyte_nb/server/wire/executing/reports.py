"""The report of an attempt, which its process writes anew whenever the task flushes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["Report"]

LOOK_SECONDS = 0.5


class Report:
    """Watches a report.

    Args:
        folder: of the attempt.
        record: takes its HTML.
    """

    def __init__(self, folder: Path, record: Callable[[str], None]) -> None:
        self._path = folder / "report.html"
        self._record = record
        self._known = (0, 0)

    @asynccontextmanager
    async def followed(self, ask: Callable[[Callable[[], None]], Awaitable[None]]) -> AsyncIterator[None]:
        """Records the report now and then, and as it is at the end.

        Args:
            ask: calls what blocks, elsewhere.
        """

        async def go_on() -> None:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await ask(self._look)

        looking = asyncio.create_task(go_on())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)  # what failed once is tried again
            await ask(self._look)

    def _look(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return
        if (found.st_mtime_ns, found.st_size) != self._known:
            self._known = (found.st_mtime_ns, found.st_size)  # of before: half a report is followed by the rest
            self._record(self._path.read_text(encoding="utf-8", errors="replace"))
