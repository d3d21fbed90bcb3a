"""`%flyte map TASK NAME[=VALUES]`: one task over many inputs, from one line, as one run whose root gathers the results.

%flyte map fit depth=depths rate=0.1   ->   async def fit_map(depth, rate):
                                                return [... flyte.map.aio(partial(fit, rate=rate), depth) ...]
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.models import NativeInterface
from flyte_nb.notebook.cells.source import function_in
from flyte_nb.notebook.magics.arguments import Argument, Command
from flyte_nb.notebook.magics.environments import cells
from flyte_nb.notebook.magics.launching import evaluated, flag_taken, take_inputs
from flyte_nb.notebook.magics.repeating import taken
from flyte_nb.notebook.magics.words import Word, split_words
from flyte_nb.remote.errors import CommandError
from flyte_nb.remote.parameters import Given, parameter_named
from flyte_nb.remote.run import Run
from flyte_nb.remote.search import find_task

__all__ = ["MAP"]

MISSING = inspect.Parameter.empty

SOURCE = """\
async def {name}({parameters}):
    from itertools import repeat

    import flyte_nb as flyte

    results = flyte.map.aio({task}, {iterables}, concurrency={concurrency}, return_exceptions=False)
    return [result async for result in results]
"""


def map_line(namespace: dict[str, Any], line: str) -> Run:
    """Runs the map that a line describes.

    Args:
        namespace: the user's names.
        line: what stands after `%flyte map`.

    Raises:
        CommandError: the line cannot be understood.
        flyte_nb.errors.BaseRuntimeError: a call failed; the other ones were cancelled.
    """
    words = split_words(line)
    in_background = flag_taken(words, "-b", "--background")
    concurrency = count_of(taken(words, "--concurrency"))
    if len(words) < 2 or words[0].is_option or words[1].is_option:
        raise CommandError(f"Say which task, and over what: {MAP.usage_line()}")
    variable, task = words[0].text, find_task(namespace, words[0].text)
    mapped, values = mapped_by(words[1], task, namespace, line)
    fixed = Given(task)
    take_inputs(fixed, namespace, line, words[2:])
    fixed.give(mapped, values)
    fixed.check()
    defaults = task.native_interface.inputs.items()
    fixed.inputs = {**{name: value for name, (_, value) in defaults if value is not MISSING}, **fixed.inputs}
    root = gathering(task, variable_of(variable, task, namespace), mapped, list(fixed.inputs), concurrency, namespace)
    given = Given(root, fixed.inputs, fixed.labels, fixed.isolation)
    return given.begin() if in_background else given.start()


def mapped_by(
    word: Word, task: TaskTemplate[Any, Any], namespace: Mapping[str, Any], line: str
) -> tuple[str, list[Any]]:
    """The parameter that varies, and its values: `depth=depths`, `depth=range(3)`, or `depth` for a variable so named.

    Raises:
        CommandError: there is no such parameter or variable, or it has no values.
    """
    name = parameter_named(task, word.text.partition("=")[0])
    if word.is_expression:
        values = evaluated(namespace, line, word)
    elif name in namespace:
        values = namespace[name]
    else:
        raise CommandError(f"There is no variable {name!r} here; say which values: {name}=[1, 2, 3]")
    if hasattr(values, "tolist"):  # arrays, series: of plain Python values
        values = values.tolist()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise CommandError(f"{name} is mapped over the items of a value; {type(values).__name__} has none.")
    return name, list(values)


def variable_of(words: str, task: TaskTemplate[Any, Any], namespace: Mapping[str, Any]) -> str:
    """How code in the notebook names the task.

    Raises:
        CommandError: it does not: the task is known by its full name only.
    """
    if words.partition(".")[0] in namespace and task.name != words:
        return words
    for name, value in namespace.items():
        if value is task:
            return name
    raise CommandError(f"{task.name} has no variable here; give it one: {task.short_name} = ...")


def gathering(
    task: TaskTemplate[Any, Any],
    variable: str,
    mapped: str,
    inputs: list[str],
    concurrency: int,
    namespace: dict[str, Any],
) -> TaskTemplate[Any, Any]:
    """The task that calls another with each of many inputs and gathers the results in order."""
    name = f"{task.short_name.rpartition('.')[2]}_map"
    inputs = [one for one in task.native_interface.inputs if one in inputs]  # in the order in which they are passed
    iterables = ", ".join(one if one == mapped else f"repeat({one})" for one in inputs)
    text = SOURCE.format(
        name=name, parameters=", ".join(inputs), task=variable, iterables=iterables, concurrency=concurrency
    )
    function = function_in(text, namespace)
    function.__annotations__ = dict.fromkeys(inputs, Any)
    environment = task.parent_env() if task.parent_env is not None else None
    root = (environment or cells).task(short_name=name)(function)
    types = task.native_interface.get_input_types()
    types[mapped] = list[plain_type(types[mapped])]  # type: ignore[misc]  # a type that is known at run time
    outputs = list(task.native_interface.outputs.values())
    result = plain_type(outputs[0]) if len(outputs) == 1 else Any
    interface = NativeInterface(
        {one: (types[one], MISSING) for one in inputs},
        {"o0": list[result]},  # type: ignore[valid-type]
    )
    plain = replace(root, interface=interface, resources=None, reusable=None, env_vars=None, secrets=None)
    (environment or cells).tasks[plain.name] = plain
    return plain


def plain_type(declared: Any) -> Any:
    """A declared type; Any where nothing is declared."""
    return Any if declared is MISSING else declared


def count_of(texts: Sequence[str]) -> int:
    """How many calls at a time; 0 for no limit.

    Raises:
        CommandError: it is no number.
    """
    if not texts:
        return 0
    if not texts[-1].isdigit():
        raise CommandError(f"--concurrency takes a number, got {texts[-1]!r}")
    return int(texts[-1])


MAP = Command(
    "map",
    "Runs a task once for each item of a variable, side by side, as one run; its output is the list of results.",
    map_line,
    (
        Argument("TASK", "a task: its name here", kind="task"),
        Argument("NAME", "the parameter that varies; its values are those of the variable so named", "parameter"),
        Argument("NAME=expression", "the same, over the items of an expression", "parameter"),
        Argument("--concurrency", "so many at a time; all at once unless told", "number"),
        Argument("--background", "returns at once; also -b", "flag", default=False),
        Argument("--name", "an input that stays the same, as text", many=True),
        Argument("name=expression", "an input that stays the same, as a Python expression", many=True),
        Argument("--label", "a label of the run", kind="label", many=True),
        Argument("--isolation", "where its tasks run: kernel, process or virtualenv", kind="isolation"),
    ),
    examples=("%flyte map fit depth=range(3, 8)", "r = %flyte map fit depth=depths rate=0.1 --concurrency 4"),
    raw=True,
    usage="[-b] TASK NAME[=VALUES] [--name value ...] [name=expression ...] [--concurrency N] [--label KEY=VALUE ...]",
)
