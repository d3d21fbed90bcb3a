"""What ends every process that carries a mark."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from flyte_nb.executors.processes import offspring
from tests.executors.puppeteer import is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kill_marked does nothing without /proc")

ALWAYS_BETWEEN_PROGRAMS = {"AGAIN": 'exec sh -c "$AGAIN"'}
"""A shell with it replaces itself without end; while it does, the system shows no environment."""


def test_a_process_that_always_begins_another_program_is_found_by_its_mark() -> None:
    for round_number in range(20):
        mark = f"{os.getpid()}-{round_number}"
        environment = {**ALWAYS_BETWEEN_PROGRAMS, "PATH": os.environ["PATH"], offspring.MARK: mark}
        restless = [subprocess.Popen(["sh", "-c", environment["AGAIN"]], env=environment) for _ in range(3)]
        offspring.kill_marked(mark)
        left = [process for process in restless if is_alive(psutil.Process(process.pid))]
        for process in restless:
            process.kill()
            process.wait()
        assert not left


def test_a_process_without_an_environment_and_one_with_another_mark_are_left_alone() -> None:
    bare = subprocess.Popen(["/bin/sleep", "1000"], env={})
    other = subprocess.Popen(["sleep", "1000"], env={**os.environ, offspring.MARK: "another"})
    offspring.kill_marked("mine")
    ended = [process.poll() for process in (bare, other)]
    for process in (bare, other):
        process.kill()
        process.wait()
    assert ended == [None, None]
