"""Every mistake of every class is found where it stands, and nothing else is called one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyte_nb.checking.check import check
from flyte_nb.checking.problem import KINDS
from tests.checking.programs import mistakes_found, mistakes_marked, notebook

FORMS = Path(__file__).with_name("forms")
NAMES = sorted(str(path.relative_to(FORMS).with_suffix("")) for path in FORMS.rglob("*.cells"))


@pytest.mark.parametrize("name", NAMES)
def test_the_marked_mistakes_are_found_and_no_others(name: str, tmp_path: Path) -> None:
    text = (FORMS / f"{name}.cells").read_text()
    with notebook(text, tmp_path) as names:
        found = check(names["main"])
    assert mistakes_found(found) == mistakes_marked(text), found


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_of_mistakes_has_three_forms(kind: str) -> None:
    folder = FORMS / kind.replace("-", "_")
    assert {path.stem for path in folder.iterdir()} == {"same_cell", "other_cell", "imported_module"}
    for path in folder.iterdir():
        assert {marked for _, _, marked in mistakes_marked(path.read_text())} == {kind}


@pytest.mark.parametrize("name", ["async_idioms", "types_and_values"])
def test_correct_programs_raise_no_alarm(name: str, tmp_path: Path) -> None:
    text = FORMS.with_name("correct").joinpath(f"{name}.cells").read_text()
    with notebook(text, tmp_path) as names:
        found = check(names["main"])
    assert found and not found.unread, found
