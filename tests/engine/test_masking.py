"""The values of secrets: never on the disk, never on a page; true for the code that receives them."""

from __future__ import annotations

import base64
import html
import json
import logging
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flyte_nb as flyte
from flyte_nb.engine.secrets.masking import MASK, MASKED_FIELDS, MASKED_NOTE, Masker
from flyte_nb.engine.session import end_session, session
from flyte_nb.errors import RuntimeUserError
from flyte_nb.notebook.views.details import RunReader
from flyte_nb.notebook.views.document import LiveDocument
from flyte_nb.remote import Run
from flyte_nb.remote.plain import run_tree
from flyte_nb.remote.source import source
from flyte_nb.store.events import AttemptStarted, ErrorRecord, Event, TaskDeclared
from flyte_nb.types.anything import encode_anything
from flyte_nb.types.base import BLOB
from flyte_nb.types.offload import pack_values, unpack_values
from flyte_nb.types.previews import preview_of_tree

VALUE = 'p4ss/"wöRD9X"\\&<b>'
LONG = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"

env = flyte.TaskEnvironment("masked")


@env.task
async def gives(value: str) -> str:
    return f"token={value}"


@env.task(cache="auto")
async def gives_cached(number: int) -> list[str]:
    computed.append(number)
    return [VALUE]


@env.task(retries=1)
async def fails(value: str) -> int:
    raise ValueError(f"bad {value!r}", {"token": value})


@env.task
async def hands_on(value: str) -> int:
    received = await gives(value)
    assert received == f"token={value}"
    return len(received)


@env.task(report=True)
async def says(value: str) -> int:
    print("my", value, "here")
    print(value[:5], end="")
    print(value[5:])
    flyte.report.replace(f"<p>{html.escape(value)}</p>")
    flyte.report.flush()
    return 1


@env.task
async def gives_much(value: str) -> bytes:
    return value.encode() * 200_000


@flyte.trace
async def asks(value: str) -> str:
    return f"answer to {value}"


@env.task
async def traces(value: str) -> int:
    return len(await asks(value))


computed: list[int] = []


@pytest.fixture
def masker() -> Masker:
    masker = Masker()
    masker.add({"TOKEN": VALUE})
    return masker


@pytest.fixture
def secret(flyte_nb_home: Path) -> str:
    """A value that a task of this process was given."""
    session().masker.add({"TOKEN": VALUE})
    return VALUE


def everything_on_disk(home: Path) -> bytes:
    """The bytes of every file of the store, journals and database among them."""
    Run.listall()
    end_session()
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        repr(VALUE),
        ascii(VALUE),
        repr([VALUE, "it's"]),
        repr(VALUE.encode()),
        json.dumps({"token": VALUE}),
        json.dumps({"token": VALUE}, ensure_ascii=False),
        html.escape(VALUE),
        quote(VALUE),
        quote(VALUE, safe=""),
        base64.b64encode(VALUE.encode()).decode(),
    ],
)
def test_a_value_is_masked_however_it_is_written(masker: Masker, written: str) -> None:
    masked = masker.mask(f"before {written} after")
    assert MASK in masked
    assert "RD9X" not in masked


plain_text = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=4, max_size=40)


@given(plain_text.filter(lambda text: len(text.strip()) >= 4), st.text(), st.text())
def test_no_text_keeps_a_value(value: str, before: str, after: str) -> None:
    masker = Masker()
    masker.add({"TOKEN": value})
    for text in (before + value + after, repr([before, value, after]), json.dumps([before, value, after])):
        masked = masker.mask(text)
        assert value.strip() not in masked
        assert MASK in masked


def test_each_line_of_a_value_of_several_lines_is_masked_alone(masker: Masker) -> None:
    masker.add({"KEY": LONG})
    assert masker.mask(LONG) == f"{MASK}\n"
    assert masker.mask("got MIIEvQIBADANBgkq here") == f"got {MASK} here"


def test_a_value_that_contains_another_is_masked_whole() -> None:
    masker = Masker()
    masker.add({"SHORT": "abcd"})
    masker.add({"LONG": "abcdefgh"})
    assert masker.mask("abcdefgh abcd") == "*** ***"


def test_a_value_of_few_characters_is_not_masked_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    masker = Masker()
    with caplog.at_level(logging.WARNING, logger="flyte"):
        masker.add({"PIN": "123"})
        masker.add({"PIN": "123"})
    assert not masker.active
    assert [record.getMessage() for record in caplog.records] == [
        "The value of the secret PIN has fewer than 4 characters: it is not masked"
    ]


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("value", [VALUE, [1, VALUE], {"k": VALUE}, {VALUE: 1}, (VALUE, {VALUE}), VALUE.encode()])
def test_no_payload_keeps_a_value_and_it_can_still_be_read(masker: Masker, value: Any) -> None:
    payload = pack_values([encode_anything(value, session().values)], session().values)
    masked = masker.mask_payload(payload)
    assert VALUE.encode() not in masked
    [tree] = unpack_values(masked, session().values)
    assert "*" in preview_of_tree(tree)["text"]
    assert masker.is_masked(payload)


class Client:
    """Something that is recorded as a pickle."""

    def __init__(self, token: str) -> None:
        self.token = token


def test_a_pickle_keeps_its_length_and_its_preview_no_value(masker: Masker) -> None:
    payload = pack_values([encode_anything(Client(VALUE), session().values)], session().values)
    masked = masker.mask_payload(payload)
    assert VALUE.encode() not in masked
    assert len(masked) == len(payload)


def test_a_preview_that_cuts_a_value_off_keeps_none_of_it(masker: Masker) -> None:
    for start in range(150, 200):
        text = "x" * start + VALUE + "y" * 2_000_000
        payload = pack_values([text], session().values)
        [leaf] = msgspec.msgpack.decode(payload)
        assert leaf.code == BLOB
        masked = masker.mask_payload(payload)
        assert VALUE[:5].encode() not in masked


def test_a_payload_without_a_value_stays_what_it_is(masker: Masker) -> None:
    payload = pack_values([[1, 2.5, "harmless …", b"bytes", None, {"k": 2**80}]], session().values)
    assert masker.mask_payload(payload) == payload
    assert not masker.is_masked(payload)


# ---------------------------------------------------------------- records


def test_every_event_says_where_a_value_can_stand() -> None:
    assert set(MASKED_FIELDS) == set(get_args(Event)) - {AttemptStarted}
    for event, fields in MASKED_FIELDS.items():
        assert set(fields) <= {field.name for field in msgspec.structs.fields(event)}


def test_the_names_in_an_event_are_never_masked() -> None:
    masker = Masker()
    masker.add({"TOKEN": "quick"})
    declared = TaskDeclared("quick", "quick.fit", 0, "quick", "quick", "x = 'quick'", [], [], {"docs": "quick"})
    assert masker.mask_event(declared) == TaskDeclared(
        "quick", "quick.fit", 0, "quick", "quick", f"x = '{MASK}'", [], [], {"docs": MASK}
    )


def test_what_was_cut_off_a_traceback_leaves_no_end_of_a_value(masker: Masker) -> None:
    error = ErrorRecord("E", "user", "x" * 3_996 + VALUE[:4], f"...\n{VALUE[4:]} end of a line\nnext line")
    masked = masker.mask_error(error)
    assert masked.message == "x" * 3_996 + MASK
    assert masked.traceback == "...\nnext line"


def test_an_exception_its_causes_and_members_lose_the_value(masker: Masker) -> None:
    cause = FileNotFoundError(2, "No such file", f"/tmp/{VALUE}")
    cause.token = [VALUE]  # type: ignore[attr-defined]
    error = ExceptionGroup("several", [ValueError(VALUE), KeyError({VALUE: 1})])
    error.add_note(f"note {VALUE}")
    error.__cause__ = cause
    masker.mask_exception(error)
    assert "RD9X" not in "".join(map(str, [*error.exceptions, cause, cause.token, error.__notes__]))  # type: ignore[attr-defined]


class Stubborn(Exception):
    """Cannot be looked at."""

    @property
    def msg(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_masked_is_no_hindrance(masker: Masker) -> None:
    cyclic: list[Any] = [VALUE]
    cyclic.append(cyclic)
    cause = ValueError(VALUE)
    for error in (Stubborn(1), ValueError(cyclic)):
        error.__cause__ = cause
        masker.mask_exception(error)
    assert str(cause) == MASK


def test_a_value_nested_deeper_than_python_counts_is_masked(masker: Masker) -> None:
    payload = b"\x91" * 2_000 + msgspec.msgpack.encode(VALUE)  # lists of one
    masked = masker.mask_payload(payload)
    assert VALUE.encode() not in masked
    assert len(masked) == len(payload)


def test_outputs_are_true_for_callers_and_masked_on_the_disk(flyte_nb_home: Path, secret: str) -> None:
    run = flyte.run(hands_on, secret)
    assert run.outputs()[0] == len("token=" + secret)
    assert run.actions(task="gives")[0].outputs()[0] == f"token={secret}"
    assert MASKED_NOTE in run.actions(task="gives")[0].note
    assert secret.encode() not in everything_on_disk(flyte_nb_home)
    assert Run.get(run.name).actions(task="gives")[0].outputs()[0] == f"token={MASK}"


def test_errors_and_tracebacks_are_masked_for_callers_and_on_the_disk(flyte_nb_home: Path, secret: str) -> None:
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(fails, secret)
    assert "RD9X" not in str(raised.value)
    assert "RD9X" not in str(raised.value.__cause__)
    run = raised.value.run
    assert MASK in run.error_info.message
    assert [MASK in attempt.error.message for attempt in run["a0"].attempts] == [True, True]
    assert "RD9X" not in run_tree(source.run(run.name), source.actions(run.name), {0: ["value"]})
    assert secret.encode() not in everything_on_disk(flyte_nb_home)


def test_output_and_reports_are_masked_where_they_are_shown_and_recorded(
    flyte_nb_home: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flyte.run(says, secret)
    assert capsys.readouterr().out == f"my {MASK} here\n{MASK}\n"
    assert list(run.get_logs()) == [f"my {MASK} here", MASK]
    assert f"<p>{MASK}</p>" in run.get_report()
    assert secret.encode() not in everything_on_disk(flyte_nb_home)


def test_what_the_explorer_is_sent_of_a_live_run_is_masked(secret: str) -> None:
    run = flyte.run(hands_on, secret)
    live = source.live(run.name)
    assert live is not None
    reader = RunReader(run.name)
    details = [reader.detail(action.name) for action in run.actions()]
    sent = json.dumps([reader.document(), LiveDocument(live).snapshot(), details], ensure_ascii=False)
    assert MASK in sent
    assert "wöRD9X" not in sent


def test_traces_are_masked_on_the_disk(flyte_nb_home: Path, secret: str) -> None:
    run = flyte.run(traces, secret)
    assert run.outputs()[0] == len("answer to " + secret)
    assert secret.encode() not in everything_on_disk(flyte_nb_home)


def test_a_result_that_holds_a_value_is_not_cached(secret: str) -> None:
    before = len(computed)
    assert flyte.run(gives_cached, 1).outputs()[0] == [secret]
    run = flyte.run(gives_cached, 1)
    assert len(computed) == before + 2
    assert run["a0"].note == MASKED_NOTE


def test_a_large_value_that_holds_a_secret_is_named(secret: str) -> None:
    run = flyte.run(gives_much, secret)
    note = run["a0"].note
    assert "not masked" in note
    digest = note.rpartition("/")[2]
    assert session().values.is_intact(digest)


def test_before_a_secret_is_known_nothing_is_changed() -> None:
    masker = Masker(session().values)
    payload = pack_values([np.zeros(3).tolist()], session().values)
    assert not masker.active
    assert masker.mask("text") == "text"
    assert masker.mask_payload(payload) is payload
