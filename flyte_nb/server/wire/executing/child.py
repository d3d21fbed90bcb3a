"""The process of a run that a client asked for: reads an order, runs the deployed task, ends with it.

What keeps the run from being recorded is said on the standard output, in one line; the output of tasks goes into the
record, and nowhere else.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, get_args, get_origin

import msgspec
from flyteidl2.task import common_pb2
from msgspec.msgpack import Ext

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.remote.launch import with_runcontext
from flyte_nb.remote.task import Task
from flyte_nb.server.wire.executing.orders import Order
from flyte_nb.server.wire.values.literals import value_of
from flyte_nb.server.wire.values.types import structure_of
from flyte_nb.types.names import describe_type
from flyte_nb.types.trees import leaf_content

__all__ = ["main"]


def main() -> None:
    """Runs what the standard input orders."""
    answers = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    sys.path.insert(0, os.getcwd())  # the project's own modules
    try:
        carry_out(msgspec.json.decode(sys.stdin.buffer.read(), type=Order))
    except BaseRuntimeError as error:
        if not hasattr(error, "run"):  # a run that failed has its error in the record
            print(str(error).replace("\n", " "), file=answers)
        sys.exit(1)
    except LookupError as error:
        message = error.args[0] if error.args else error  # a KeyError itself shows its message quoted
        print(str(message).replace("\n", " "), file=answers)
        sys.exit(1)
    except (TypeError, ValueError, OSError) as error:
        print(str(error).replace("\n", " "), file=answers)
        sys.exit(1)


def carry_out(order: Order) -> None:
    """Runs a deployed task.

    Raises:
        flyte_nb.errors.BaseRuntimeError: it failed, or its code cannot be loaded here.
        TypeError, ValueError: the inputs are not of its types.
        ConnectionAbortedError: the server has ended.
    """
    task = Task.get(order.task, version=order.version).fetch()
    types = task.interface.inputs
    literals = common_pb2.Inputs.FromString(order.inputs).literals
    inputs = {one.name: adapted(value_of(one.value), types[one.name][0]) for one in literals}
    if os.getppid() != order.server:
        raise ConnectionAbortedError("The server that asked for the run has ended")
    with_runcontext(name=order.run, **order.options).run(task, **inputs)


def adapted(value: Any, declared: Any) -> Any:
    """The plain value of a literal as a task with this type takes it."""
    if isinstance(value, Ext):  # a pickle; this process executes the client's code anyway
        return unpickled(leaf_content(value)[0])
    origin, arguments = get_origin(declared) or declared, get_args(declared)
    if declared is float and type(value) is int:
        return float(value)
    if origin is list and arguments and isinstance(value, list):
        return [adapted(item, arguments[0]) for item in value]
    if origin is dict and len(arguments) == 2 and isinstance(value, dict):
        return {key: adapted(item, arguments[1]) for key, item in value.items()}
    is_tuple = isinstance(origin, type) and issubclass(origin, tuple)
    if is_tuple and isinstance(value, dict) and structure_of(declared) is not None:
        names = getattr(origin, "_fields", [f"item_{place}" for place in range(len(arguments))])
        if missing := [name for name in names if name not in value]:
            raise ValueError(f"{describe_type(declared)} takes {', '.join(names)}: {', '.join(missing)} missing")
        kinds = arguments or [Any] * len(names)
        return tuple(adapted(value[name], kind) for name, kind in zip(names, kinds, strict=True))
    return value


def unpickled(content: bytes) -> Any:
    """The value of a pickle.

    Raises:
        ValueError: it cannot be opened here.
    """
    try:
        return pickle.loads(content)
    except Exception as error:  # whatever its class raises, or its module, or a damaged pickle
        raise ValueError(f"A pickled input cannot be opened here: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    main()
