"""Recorded values as classes of the caller's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

import flyte_nb as flyte
from flyte_nb.remote import Action, Run

env = flyte.TaskEnvironment("map")


@dataclass
class Point:
    x: int
    y: list[float]


class Line(BaseModel):
    points: list[Point]
    name: str = "a line"


@dataclass
class Place:
    """A later version of a point."""

    x: int
    y: list[float]
    label: str = "here"


class Route(BaseModel):
    points: list[Place]


@env.task
async def moved(point: Point) -> tuple[Point, Line, int]:
    return Point(point.x + 1, point.y), Line(points=[point]), 3


async def test_values_are_had_as_the_classes_that_are_asked_for() -> None:
    run = Run.get((await flyte.run.aio(moved, Point(1, [2.0]))).name)
    place = Place(1, [2.0])
    wanted = {"o0": Place, "o1": Route, "o2": int, "o7": int}
    assert await run.typed_outputs.aio(wanted) == {"o0": Place(2, [2.0]), "o1": Route(points=[place]), "o2": 3}
    assert run.typed_outputs({"o0": dict[str, Any]}) == {"o0": {"x": 2, "y": [2.0]}}
    action = Action.get(f"{run.name}/a0")
    assert action.typed_inputs({"point": Place}) == run.typed_inputs({"point": Place}) == {"point": place}
    read = {Route: lambda fields: fields["points"][0]["x"], Point: Point}
    assert action.typed_outputs({"o1": Route, "o2": int}, read) == {"o1": 1, "o2": 3}


def test_a_value_that_does_not_fit_is_named_with_the_type() -> None:
    run = flyte.run(moved, Point(1, [2.0]))
    with pytest.raises(TypeError, match="o0 cannot be had as int: Expected value of type <class 'int'> but got"):
        run.typed_outputs({"o0": int})
