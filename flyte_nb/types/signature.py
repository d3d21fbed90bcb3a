"""A task's signature, compiled once: binds a call, checks it, encodes it and makes the callee's copies, in one pass.

    encode_inputs(args, kwargs)  -> payload, the callee's own arguments
    encode_outputs(result)       -> payload, the caller's own result
    pack_inputs / pack_outputs   -> the payload alone, for a callee or caller in another process
    decode_inputs / decode_outputs(payload) -> values, at any time later, in any process

A payload is the msgpack list of the values in the order of the interface. A call whose values are all scalars of
exactly the declared types takes the short way: one comparison of types and one call into msgspec.
"""

from __future__ import annotations

import inspect
import logging
from collections import namedtuple
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from flyte_nb.errors import RuntimeDataValidationError
from flyte_nb.types.anything import AnyTransformer
from flyte_nb.types.base import Blobs, Transformer, TypeTransformerFailedError, is_canonical
from flyte_nb.types.names import describe_type
from flyte_nb.types.offload import pack_values, unpack_values
from flyte_nb.types.pickles import PickleTransformer
from flyte_nb.types.previews import short_text
from flyte_nb.types.registry import transformer_for
from flyte_nb.types.scalars import ScalarTransformer
from flyte_nb.types.trees import identity_of, pack

if TYPE_CHECKING:
    from flyte_nb.authoring.task import TaskTemplate
    from flyte_nb.models import NativeInterface

__all__ = ["Signature", "signature_of"]

logger = logging.getLogger("flyte")

MISSING = inspect.Parameter.empty
NO_OUTPUTS = pack([])
RECEIVED_CHARS = 2000


class Signature:
    """How the inputs and outputs of one task cross its boundary.

    Attributes:
        task_name: the task's full name, for messages.
        input_names: in the order of the interface.
        output_names: empty for a task that returns nothing.
    """

    def __init__(self, interface: NativeInterface, task_name: str) -> None:
        self.task_name = task_name
        self.input_names = tuple(interface.inputs)
        self.output_names = tuple(interface.outputs)
        self._input_types = {name: declared for name, (declared, _) in interface.inputs.items()}
        self._output_types = dict(interface.outputs)
        self._inputs = {name: transformer_for(declared) for name, declared in self._input_types.items()}
        self._outputs = {name: transformer_for(declared) for name, declared in self._output_types.items()}
        self._defaults = _usable_defaults(interface)
        self._input_scalars = _scalar_types(self._inputs)
        self._output_scalar = (_scalar_types(self._outputs) or (MISSING,))[0] if len(self._outputs) == 1 else MISSING
        self._inputs_name_themselves = all(map(is_canonical, self._inputs.values()))
        self._result_type = _result_type(self.output_names)
        self._warn_of_pickles()

    @classmethod
    def compile(cls, interface: NativeInterface, task_name: str) -> Signature:
        """The signature of a task.

        Raises:
            TypeTransformerFailedError: when Flyte cannot carry one of the declared types.
        """
        return cls(interface, task_name)

    @property
    def input_descriptions(self) -> list[tuple[str, str]]:
        """(name, type as text) of every input."""
        return [(name, describe_type(declared)) for name, declared in self._input_types.items()]

    @property
    def output_descriptions(self) -> list[tuple[str, str]]:
        """(name, type as text) of every output."""
        return [(name, describe_type(declared)) for name, declared in self._output_types.items()]

    def encode_inputs(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], blobs: Blobs
    ) -> tuple[bytes, dict[str, Any]]:
        """Binds a call and encodes it.

        Returns:
            The payload, and the arguments for the callee, which shares nothing mutable with the caller's.

        Raises:
            ValueError: a required input is missing, or there are too many.
            TypeError: a value is not of its declared type, or cannot cross a task boundary.
        """
        values = args if not kwargs and len(args) == len(self.input_names) else self._bind(args, kwargs)
        if tuple(map(type, values)) == self._input_scalars:
            return pack_values(values, blobs), dict(zip(self.input_names, values, strict=True))
        trees = self._input_trees(values, blobs)
        copies = self._decoded(self._inputs, trees, blobs)
        return pack_values(trees, blobs), copies

    def pack_inputs(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], blobs: Blobs) -> bytes:
        """Binds a call and encodes it for a callee elsewhere, which decodes its arguments itself.

        Returns:
            The payload.

        Raises:
            ValueError, TypeError: as `encode_inputs`.
        """
        values = args if not kwargs and len(args) == len(self.input_names) else self._bind(args, kwargs)
        if tuple(map(type, values)) == self._input_scalars:
            return pack_values(values, blobs)
        return pack_values(self._input_trees(values, blobs), blobs)

    def encode_outputs(self, result: Any, blobs: Blobs) -> tuple[bytes, Any]:
        """Encodes what a task returned.

        Returns:
            The payload, and the result for the caller, which shares nothing mutable with the callee's.

        Raises:
            RuntimeDataValidationError: the result is not of the declared type, or none is declared.
            AssertionError: the task returned another number of values than it declares.
        """
        if type(result) is self._output_scalar:
            return pack_values((result,), blobs), result
        if not self.output_names:
            self._check_nothing(result)
            return NO_OUTPUTS, None
        trees = self._output_trees(result, blobs)
        copies = tuple(self._decoded(self._outputs, trees, blobs).values())
        return pack_values(trees, blobs), self.outputs_as_result(copies)

    def pack_outputs(self, result: Any, blobs: Blobs) -> bytes:
        """Encodes what a task returned for a caller elsewhere, which decodes it itself.

        Returns:
            The payload.

        Raises:
            RuntimeDataValidationError, AssertionError: as `encode_outputs`.
        """
        if type(result) is self._output_scalar:
            return pack_values((result,), blobs)
        if not self.output_names:
            self._check_nothing(result)
            return NO_OUTPUTS
        return pack_values(self._output_trees(result, blobs), blobs)

    def decode_inputs(self, payload: bytes, blobs: Blobs) -> dict[str, Any]:
        """The arguments of a recorded call, by name."""
        trees = self._unpack(payload, len(self._inputs), "inputs", blobs)
        return self._decoded(self._inputs, trees, blobs)

    def decode_outputs(self, payload: bytes, blobs: Blobs) -> tuple[Any, ...]:
        """The recorded outputs in the order of the interface; `(None,)` of a task that returns nothing, as in Flyte."""
        if not self._outputs:
            return (None,)
        trees = self._unpack(payload, len(self._outputs), "outputs", blobs)
        if type(trees[0]) is self._output_scalar:
            return (trees[0],)
        return tuple(self._decoded(self._outputs, trees, blobs).values())

    def outputs_as_result(self, values: tuple[Any, ...]) -> Any:
        """What the caller receives: None, the one value, or a tuple (with names where the outputs have them)."""
        if len(values) == 1:
            return values[0]
        return self._result_type(values)

    def identity(self, payload: bytes, ignored: tuple[str, ...] = ()) -> bytes:
        """Bytes that are equal for equal inputs: what digests, action names and cache keys are made of.

        Args:
            payload: what `encode_inputs` returned.
            ignored: names of inputs that do not count.
        """
        if self._inputs_name_themselves and not ignored:
            return payload
        positions = frozenset(at for at, name in enumerate(self.input_names) if name in ignored)
        return identity_of(payload, positions)

    def _input_trees(self, values: Sequence[Any], blobs: Blobs) -> list[Any]:
        trees = []
        for (name, transformer), value in zip(self._inputs.items(), values, strict=True):
            try:
                trees.append(transformer.encode(value, blobs))
            except TypeError as error:
                raise self._input_error(name, value, error) from error
        return trees

    def _output_trees(self, result: Any, blobs: Blobs) -> list[Any]:
        trees = []
        for (name, transformer), value in zip(self._outputs.items(), self._split(result), strict=True):
            try:
                trees.append(transformer.encode(value, blobs))
            except TypeTransformerFailedError as error:
                advice = _advice(self._output_types[name], value)
                raise RuntimeDataValidationError(name, f"{error}{advice}", self.task_name) from error
        return trees

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        names = self.input_names
        if not args and len(kwargs) == len(names) and all(name in kwargs for name in names):
            return [kwargs[name] for name in names]
        if len(args) > len(names):
            raise ValueError(
                f"Too many positional arguments provided, expected inputs {list(names)}, args {len(args)}"
                f"{self._takes()}"
            )
        given = {**kwargs, **dict(zip(names, args, strict=False))}
        if len(given) > len(names):
            raise ValueError(
                f"Too many keyword arguments provided, expected inputs {list(names)}, args {list(given)}{self._takes()}"
            )
        values = {**self._defaults, **given}
        unknown = ", ".join(name for name in given if name not in self._inputs)
        if missing := ", ".join(name for name in names if name not in values):
            but = f", got unknown ones: {unknown}" if unknown else ""
            raise ValueError(f"Missing required inputs: {missing}{but}{self._takes()}")
        if unknown:
            logger.warning("Unknown inputs are ignored, as Flyte does: %s%s", unknown, self._takes())
        return [values[name] for name in names]

    def _takes(self) -> str:
        """The end of a message about a call that does not fit."""
        inputs = ", ".join(f"{name}: {declared}" for name, declared in self.input_descriptions)
        return f". {self.task_name} takes {inputs or 'no inputs'}."

    def _split(self, result: Any) -> tuple[Any, ...]:
        """The returned values, one per declared output."""
        count = len(self.output_names)
        if count == 1:
            transformer = next(iter(self._outputs.values()))
            if not isinstance(result, tuple) or _takes_tuples(transformer):
                return (result,)
        values = result if isinstance(result, tuple) else (result,)
        if len(values) != count:
            raise AssertionError(
                f"Received {len(values)} outputs but return annotation has {count} outputs specified. "
            )
        return values

    def _check_nothing(self, result: Any) -> None:
        if result is not None:
            raise RuntimeDataValidationError(
                "o0",
                f"Expected no outputs but got {short_text(result)}, did you miss a return type annotation?"
                f"{_unawaited(result)}",
                self.task_name,
            )

    def _decoded(self, transformers: Mapping[str, Transformer], trees: list[Any], blobs: Blobs) -> dict[str, Any]:
        values = {}
        for (name, transformer), tree in zip(transformers.items(), trees, strict=True):
            try:
                values[name] = transformer.decode(tree, blobs)
            except TypeError as error:
                declared = self._input_types.get(name, self._output_types.get(name))
                raise TypeTransformerFailedError(
                    f"Error converting input '{name}':\nExpected Python type: {declared}\nException: {error}"
                ) from error
        return values

    def _input_error(self, name: str, value: Any, error: TypeError) -> TypeError:
        declared = self._input_types[name]
        return TypeError(
            f"Type conversion failed for variable '{name}'.\n"
            f"Expected type: {Any if declared is MISSING else declared}\n"
            f"Actual type: {type(value)}\n"
            f"Value received: {short_text(value, RECEIVED_CHARS)}\n"
            f"Reason: {error}{_advice(declared, value)}\n"
            f"Task: {self.task_name}"
        )

    def _unpack(self, payload: bytes, count: int, what: str, blobs: Blobs) -> list[Any]:
        trees = unpack_values(payload, blobs)
        if len(trees) != count:
            raise ValueError(
                f"The recorded {what} of task {self.task_name} are {len(trees)} values, its signature now has {count}"
            )
        return trees

    def _warn_of_pickles(self) -> None:
        for name, transformer in {**self._inputs, **self._outputs}.items():
            if type(transformer) is PickleTransformer:
                logger.warning(
                    "Task %s: '%s' of type %s is passed by pickle, which only the same Python and library versions can "
                    "read; a dataclass or pydantic model is portable.",
                    self.task_name,
                    name,
                    transformer.type_name,
                )


def signature_of(template: TaskTemplate[Any, Any]) -> Signature:
    """The compiled signature of a task, kept on the template."""
    compiled: Signature | None = template.__dict__.get("_compiled")
    if compiled is None:
        compiled = Signature.compile(template.native_interface, template.name)
        vars(template)["_compiled"] = compiled
    return compiled


def _advice(declared: Any, value: Any) -> str:
    """What to do where the reason that a value does not fit is an easy one to overlook."""
    return _unawaited(value) or _redefined(declared, value)


def _redefined(declared: Any, value: Any) -> str:
    """What to do where a cell has made a class anew, and the task still says the one of before."""
    kind = type(value)
    if not isinstance(declared, type) or declared is kind:
        return ""
    if (declared.__module__, declared.__qualname__) != (kind.__module__, kind.__qualname__):
        return ""
    return f". {kind.__name__} was defined again after the task was: define the task again too, or make the value anew"


def _unawaited(value: Any) -> str:
    """What to do where a value is the coroutine of a call that was not awaited."""
    if not inspect.iscoroutine(value):
        return ""
    value.close()  # else Python warns of it as well
    return ". It is a coroutine: write `await` before the call that made it"


def _usable_defaults(interface: NativeInterface) -> dict[str, Any]:
    defaults = {}
    for name, (declared, default) in interface.inputs.items():
        if default is not MISSING:
            defaults[name] = default
        elif declared in (None, NoneType):
            defaults[name] = None
    return defaults


def _scalar_types(transformers: Mapping[str, Transformer]) -> tuple[type, ...] | None:
    """The exact types of values that may pass as they are, None when a transformer has to look at each value."""
    scalars = [t.python_type for t in transformers.values() if type(t) is ScalarTransformer]
    return tuple(scalars) if len(scalars) == len(transformers) else None


def _result_type(names: tuple[str, ...]) -> Any:
    if len(names) < 2 or names == tuple(f"o{at}" for at in range(len(names))):
        return tuple
    named: Any = namedtuple("Outputs", names)  # type: ignore[misc]  # names that are known at run time only
    return named._make


def _takes_tuples(transformer: Transformer) -> bool:
    inner = getattr(transformer, "inner", transformer)
    return isinstance(inner, AnyTransformer) or hasattr(inner, "places")
