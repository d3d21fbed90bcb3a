"""What every sink of events promises."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from flyte_nb.engine.recorder import JournalSink, ListSink, Sink
from flyte_nb.store.errors import JournalWriteError
from flyte_nb.store.events import Event, LogWritten, decode_event
from flyte_nb.store.frames import read_frames
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.segments import HEADER_START, list_segments

ONE_MOMENT_NS = 1_700_000_000_000_000_000


def said(text: str) -> LogWritten:
    return LogWritten("run", "a0", 1, ONE_MOMENT_NS, "stdout", text)


class SinkContract:
    """A test of a sink gives the fixture `sink` and says what others find recorded in it."""

    def recorded(self, sink: Sink) -> list[Event]:
        raise NotImplementedError

    def texts(self, sink: Sink) -> list[str]:
        return [event.text for event in self.recorded(sink) if isinstance(event, LogWritten)]

    def test_what_was_recorded_is_there_after_a_flush_in_order(self, sink: Sink) -> None:
        for k in range(100):
            sink.record(said(f"line {k}"))
        sink.flush()
        assert self.texts(sink) == [f"line {k}" for k in range(100)]

    def test_an_event_comes_back_as_it_was(self, sink: Sink) -> None:
        sink.record(said("as it was"))
        sink.flush()
        assert self.recorded(sink) == [said("as it was")]

    def test_what_is_recorded_together_stands_together_in_order(self, sink: Sink) -> None:
        sink.record(said("before"))
        position = sink.record_together([said("first"), said("\udce4 undecodable"), said("last")])
        sink.wait_durable(position)
        texts = self.texts(sink)
        assert (texts[:2], len(texts), texts[-1]) == (["before", "first"], 4, "last")

    def test_positions_grow(self, sink: Sink) -> None:
        positions = [sink.record(said(str(k))) for k in range(5)]
        assert positions == sorted(set(positions))
        assert positions[0] > 0

    def test_many_threads_record_at_once(self, sink: Sink) -> None:
        def record(thread: int) -> None:
            for k in range(200):
                sink.record(said(f"{thread} {k}"))

        threads = [threading.Thread(target=record, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sink.flush()
        texts = self.texts(sink)
        for thread_number in range(4):
            mine = [text for text in texts if text.startswith(f"{thread_number} ")]
            assert mine == [f"{thread_number} {k}" for k in range(200)]

    def test_what_is_durable_is_there_without_a_flush(self, sink: Sink) -> None:
        sink.wait_durable(sink.record(said("durable")))
        assert self.texts(sink) == ["durable"]

    async def test_durability_is_awaited_on_any_loop(self, sink: Sink) -> None:
        await sink.durable(sink.record(said("here")))
        position = sink.record(said("there"))
        await asyncio.to_thread(asyncio.run, sink.durable(position))
        assert self.texts(sink) == ["here", "there"]

    async def test_what_was_recorded_before_all_events_is_durable(self, sink: Sink) -> None:
        await sink.durable(0)
        sink.wait_durable(0)

    @pytest.mark.parametrize("text", ["", "\x00", "naïve 😀", "\udce4 undecodable"], ids=ascii)
    def test_any_text_can_be_recorded(self, sink: Sink, text: str) -> None:
        sink.record(said(text))
        sink.flush()
        assert len(self.texts(sink)) == 1


class TestListSink(SinkContract):
    @pytest.fixture
    def sink(self) -> ListSink:
        return ListSink()

    def recorded(self, sink: Sink) -> list[Event]:
        assert isinstance(sink, ListSink)
        return sink.events


class TestJournalSink(SinkContract):
    @pytest.fixture
    def sink(self) -> Iterator[JournalSink]:
        journal = Journal.create(Home.find())
        yield JournalSink(journal)
        journal.close()

    def recorded(self, sink: Sink) -> list[Event]:
        frames = [frame for segment in list_segments(Home.find().journals) for frame, _ in read_frames(segment.path)]
        payloads = [payload for frame in frames for payload in frame if not payload.startswith(HEADER_START)]
        return [decode_event(payload) for payload in payloads]

    def test_who_asks_while_a_sync_is_under_way_is_answered_too(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def sync_waits() -> None:
            begun.set()
            go_on.wait()

        sink = JournalSink(Journal.create(Home.find(), before_sync=sync_waits))
        position = sink.record(said("on its way"))
        begun.wait()
        asked = sink.journal.durable(position)
        go_on.set()
        asked.result(timeout=60)
        sink.journal.close()

    @pytest.mark.parametrize("why", ["nothing", "others", "the disk"])
    def test_a_loop_syncs_by_itself_what_nothing_else_waits_for(self, why: str) -> None:
        syncing: list[threading.Thread] = []
        sink = JournalSink(Journal.create(Home.find(), before_sync=lambda: syncing.append(threading.current_thread())))
        if why == "the disk":
            sink.journal.sync_seconds = 60.0

        async def wait_for_the_disk() -> None:
            waiting = asyncio.ensure_future(sink.durable(sink.record(said("waited for"))))
            while why == "others" and not waiting.done():  # noqa: ASYNC110  # what is meant is a busy loop
                await asyncio.sleep(0)
            await waiting

        asyncio.run(wait_for_the_disk())
        sink.journal.close()
        assert (threading.main_thread() in syncing) == (why == "nothing")

    def test_undecodable_text_is_recorded_with_a_question_mark(self, sink: JournalSink) -> None:
        sink.record(said("\udce4 undecodable"))
        sink.flush()
        assert self.texts(sink) == ["? undecodable"]

    def test_after_its_journal_is_closed_it_refuses(self, sink: JournalSink) -> None:
        sink.record(said("last"))
        sink.journal.close()
        with pytest.raises(JournalWriteError):
            sink.record(said("too late"))
        assert self.texts(sink) == ["last"]
