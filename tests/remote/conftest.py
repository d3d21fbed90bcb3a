"""What the tests of runs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.remote import tasks


@pytest.fixture
def waiting() -> Iterator[None]:
    """`waits` is not released before this test is over."""
    tasks.started.clear()
    tasks.release.clear()
    yield
    tasks.release.set()
