"""Names of Flyte's that need a cluster: they import, and using one says what to do instead."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import flyte_nb as flyte
from flyte_nb.remote import unsupported
from flyte_nb.remote.calls import Blocking

REFUSING = [name for name in unsupported.__all__ if isinstance(getattr(unsupported, name), Blocking)]


@pytest.mark.parametrize("name", REFUSING)
def test_using_it_is_refused_with_what_to_do_instead(name: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"flyte\.{name} does not work in flyte_nb yet: \w+"):
        getattr(flyte, name)()


@pytest.mark.parametrize("name", REFUSING)
def test_awaiting_it_is_refused_too(name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        asyncio.run(getattr(flyte, name).aio("anything", at="all"))


@pytest.mark.parametrize("name", REFUSING)
def test_its_documentation_says_so(name: str) -> None:
    assert (inspect.getdoc(getattr(flyte, name)) or "").startswith("Refused: ")


def test_protocols_and_records_can_be_used_in_annotations() -> None:
    def built(image: flyte.ImageBuild, app: flyte.AppHandle) -> Any:
        return image.uri, app

    assert built.__annotations__ == {"image": "flyte.ImageBuild", "app": "flyte.AppHandle", "return": "Any"}
    assert flyte.ImageBuild("registry/image:tag").uri == "registry/image:tag"
