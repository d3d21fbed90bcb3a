"""What a client's list request asks for, against the same question answered in plain Python."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest
from flyteidl2.common import list_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

import flyte_nb as flyte
from flyte_nb.server.wire.filters import token_of, wanted_rows
from flyte_nb.server.wire.services.runs import FIELDS
from flyte_nb.store.home import Home
from flyte_nb.store.pages import ACTION_FIELDS, ListedAction, Page, list_actions, list_root_actions
from tests.processes import one_session
from tests.server import wire_tasks

Function = list_pb2.Filter.Function
LISTS: dict[str, Callable[..., Page[ListedAction]]] = {
    "runs": list_root_actions,
    "actions": lambda home, *asked, **page: list_actions(home, "second", *asked, **page),
}
FIELDS_OF = {"runs": FIELDS, "actions": ACTION_FIELDS}
ATTRIBUTES = {
    "task_name": "task",
    "task_version": "version",
    "parent_name": "parent",
    "action_type": "kind",
    "created_at": "queued_ns",
    "updated_at": "updated_ns",
}
TIMES = ("created_at", "updated_at")
WITH_ORDER: dict[int, Callable[[Any, Any], bool]] = {
    Function.GREATER_THAN: lambda value, given: value > given,
    Function.GREATER_THAN_OR_EQUAL: lambda value, given: value >= given,
    Function.LESS_THAN: lambda value, given: value < given,
    Function.LESS_THAN_OR_EQUAL: lambda value, given: value <= given,
}
OF_TEXT: dict[int, Callable[[Any, Any], bool]] = {
    Function.CONTAINS: lambda value, given: given in value,
    Function.CONTAINS_CASE_INSENSITIVE: lambda value, given: given.lower() in value.lower(),
    Function.ENDS_WITH: lambda value, given: value.endswith(given),
    Function.NOT_ENDS_WITH: lambda value, given: not value.endswith(given),
}
OF_ONE: dict[int, Callable[[Any, Any], bool]] = {
    Function.EQUAL: lambda value, given: value == given,
    Function.NOT_EQUAL: lambda value, given: value != given,
    **WITH_ORDER,
    **OF_TEXT,
}
VALUES = {
    "phase": {"5": "succeeded", "6": "failed", "ACTION_PHASE_FAILED": "failed", "10": "recovered"},
    "action_type": {"1": "task", "2": "trace", "condition": "condition"},
    "name": ["first", "second", "t", "a0", "A", ""],
    "task_name": ["shop.total", "shop.square", "lookup", "SHOP", "."],
    "task_version": ["", "a", "5"],
    "parent_name": ["a0", "", "zz"],
    "group": ["squares", "", "S"],
    "created_by": [getpass.getuser(), "somebody else", "o"],
    "labels.team": ["x", "y", "X", ""],
    "labels.tier": ["gold", "", "x"],
    "labels.none": ["x"],
}
"""What is sent of each field; where it stands for something else, for what."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("shop") / ".flyte_nb"
    with one_session(folder):
        flyte.with_runcontext(name="first", labels={"team": "x"}).run(wire_tasks.square, x=1)
        flyte.with_runcontext(name="second", labels={"team": "Xy", "tier": "gold"}).run(wire_tasks.total, n=3)
        with pytest.raises(flyte.errors.RuntimeUserError):
            flyte.with_runcontext(name="third", labels={"tier": ""}).run(wire_tasks.failing, x=1)
        flyte.with_runcontext(name="fourth").run(wire_tasks.square, x=2)
        yield Home(folder)


class Filter(NamedTuple):
    field: str
    function: int
    sent: list[str]

    def is_refused(self) -> bool:
        """Whether its field cannot be compared so, or not with as many values."""
        of_text, with_order = self.function in OF_TEXT, self.function in WITH_ORDER
        unfit = (of_text and self.field in (*TIMES, "phase")) or (with_order and self.field == "phase")
        return unfit or (self.function in OF_ONE and len(self.sent) != 1)

    def holds(self, value: Any) -> bool:
        """Whether it lets a value pass; None, which is no value, only where it asks for that."""
        given = [self._meant(one) for one in self.sent]
        if self.function in (Function.EXISTS, Function.NOT_EXISTS):
            return (self.function == Function.EXISTS) is (value is not None)
        if value is None:
            return False
        if self.function in (Function.VALUE_IN, Function.VALUE_NOT_IN):
            return (self.function == Function.VALUE_IN) is (value in given)
        return OF_ONE[self.function](value, given[0])

    def message(self) -> list_pb2.Filter:
        """As Flyte's client sends it: of one phase each character of the number by itself."""
        one_phase = self.field == "phase" and self.function in OF_ONE
        return list_pb2.Filter(
            field=self.field, function=self.function, values="".join(self.sent) if one_phase else self.sent
        )

    def _meant(self, sent: str) -> Any:
        if self.field in TIMES:
            return (datetime.fromisoformat(sent) - EPOCH) // timedelta(microseconds=1) * 1_000
        known = VALUES[self.field]
        return known[sent] if isinstance(known, dict) else sent


def value_of(listed: str, row: ListedAction, field: str) -> Any:
    """What a row has in a field; None where it has nothing."""
    if field == "name":
        return row.run if listed == "runs" else row.name
    if field == "created_by":
        return getpass.getuser()
    if field.startswith("labels."):
        return (row.labels or {}).get(field.removeprefix("labels."))
    return getattr(row, ATTRIBUTES.get(field, field))


def fields_of(listed: str) -> list[str]:
    labels = [field for field in VALUES if field.startswith("labels.")] if listed == "runs" else []
    return [*sorted(set(FIELDS_OF[listed]) - {"labels"}), *labels]


def sent_of(listed: str, rows: Sequence[ListedAction], field: str) -> list[str]:
    """What is sent of a field: values that rows have or nearly have."""
    if field not in TIMES:
        return list(VALUES[field])
    times = [value_of(listed, row, field) // 1_000 for row in rows[:2]]
    return [(EPOCH + timedelta(microseconds=at)).isoformat() for at in times]


@pytest.mark.parametrize("listed", LISTS)
def test_every_filter_of_every_field_lets_through_what_plain_python_does(home: Home, listed: str) -> None:
    rows = LISTS[listed](home, limit=1_000).rows
    fields = [field for field in fields_of(listed) if listed == "actions" or field not in ACTION_FIELDS]
    for field, function in product(fields, Function.values()):
        values = sent_of(listed, rows, field)
        for sent in ([], values[:1], values[1:2], values[:3:2]):
            wanted = Filter(field, function, sent)
            request = list_pb2.ListRequest(filters=[wanted.message()])
            if wanted.is_refused():
                with pytest.raises(ValueError, match=field):
                    wanted_rows(request, FIELDS_OF[listed])
                continue
            found = LISTS[listed](home, wanted_rows(request, FIELDS_OF[listed]).conditions, limit=1_000).rows
            assert found == [row for row in rows if wanted.holds(value_of(listed, row, field))], wanted


@pytest.mark.parametrize("listed", LISTS)
@settings(max_examples=10)
@given(data=st.data())
def test_pages_in_any_order_are_the_rows_that_fit_all_filters(home: Home, listed: str, data: st.DataObject) -> None:
    rows = LISTS[listed](home, limit=1_000).rows
    filters = []
    for field in data.draw(st.lists(st.sampled_from(fields_of(listed)), max_size=2)):
        several = st.lists(st.sampled_from(sent_of(listed, rows, field)), min_size=1, max_size=3)
        function = data.draw(st.sampled_from([Function.VALUE_IN, Function.VALUE_NOT_IN, Function.NOT_EXISTS]))
        filters.append(Filter(field, function, data.draw(several)))
    order = data.draw(st.sampled_from(sorted(set(FIELDS_OF[listed]) - {"labels", "created_by"})))
    direction = data.draw(st.sampled_from(list_pb2.Sort.Direction.values()))
    request = list_pb2.ListRequest(
        limit=data.draw(st.integers(1, 4)),
        filters=[one.message() for one in filters],
        sort_by=list_pb2.Sort(key=order, direction=direction),
    )
    expected = [row for row in rows if all(one.holds(value_of(listed, row, one.field)) for one in filters)]
    expected.sort(
        key=lambda row: (value_of(listed, row, order), value_of(listed, row, "name")),
        reverse=direction == list_pb2.Sort.DESCENDING,
    )
    found: list[ListedAction] = []
    while True:
        wanted = wanted_rows(request, FIELDS_OF[listed])
        page = LISTS[listed](home, wanted.conditions, **wanted.page)
        assert len(page.rows) <= request.limit
        found += page.rows
        request.token = token_of(page.cursor)
        if not request.token:
            break
    assert found == expected


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"sort_by": list_pb2.Sort(key="cost")}, "cannot be sorted by 'cost', only by created_at, name,"),
        ({"sort_by": list_pb2.Sort(key="labels")}, "cannot be sorted by 'labels', only"),
        (
            {"sort_by_fields": [list_pb2.Sort(key="name"), list_pb2.Sort(key="phase")]},
            "by one field, not by name, phase",
        ),
        ({"raw_filters": ["x"]}, "raw_filters are not understood: use filters"),
        (
            {"filters": [Filter("cost", 0, ["1"]).message()]},
            "filtered by 'cost', only by created_at, created_by, labels.KEY",
        ),
        ({"filters": [Filter("labels", 0, ["1"]).message()]}, "filtered by 'labels', only by"),
        ({"filters": [Filter("name", 0, ["a", "b"]).message()]}, "'name' compares with one value, not with 2"),
        (
            {"filters": [Filter("name", 99, ["a"]).message()]},
            "'name' cannot be filtered by function 99, only by CONTAINS,",
        ),
        (
            {"filters": [Filter("phase", 6, ["5"]).message()]},
            "'phase' cannot be filtered by CONTAINS, only by EQUAL, EXISTS,",
        ),
        ({"filters": [Filter("phase", 7, ["5", "x"]).message()]}, "'x' is no phase"),
        (
            {"filters": [Filter("created_at", 0, ["now"]).message()]},
            "created_at is compared with 'now', which is no ISO 8601",
        ),
        ({"token": "zzz"}, "'zzz' is no token of a page in the order of created_at"),
        ({"token": token_of(("text", "a0"))}, "is no token of a page in the order of created_at"),
        ({"token": token_of((1 << 70, "a0"))}, "is no token of a page in the order of created_at"),
        (
            {"token": token_of((1, "a0")), "sort_by": list_pb2.Sort(key="name")},
            "is no token of a page in the order of name",
        ),
    ],
)
def test_what_a_list_cannot_be_asked_is_one_clear_error(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        wanted_rows(list_pb2.ListRequest(**asked), FIELDS)
