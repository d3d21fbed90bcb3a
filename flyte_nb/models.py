"""What runs are made of, as Flyte names it: action ids, phases, and the context that a task sees.

Nothing here does anything: the engine fills these in, tasks read them.
"""

from __future__ import annotations

import difflib
import enum
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import uuid4

from flyte_nb.interface import Docstring, NativeInterface, extract_return_annotation, literal_to_enum

__all__ = [
    "MAX_INLINE_IO_BYTES",
    "NULL_TASK_CONTEXT",
    "ActionID",
    "ActionPhase",
    "CheckpointPaths",
    "CodeBundle",
    "Docstring",
    "GroupData",
    "NativeInterface",
    "NullTaskContext",
    "PathRewrite",
    "RawDataPath",
    "SerializationContext",
    "TaskContext",
    "extract_return_annotation",
    "generate_random_name",
    "literal_to_enum",
]

MAX_INLINE_IO_BYTES = 10 * 1024 * 1024
"""How much a task takes and returns by value unless it says otherwise."""

_CHECKPOINT = "__flyte_checkpoint__"


def generate_random_name() -> str:
    """A name that nothing else has."""
    return str(uuid4())


class ActionPhase(str, enum.Enum):  # noqa: UP042 - str() shows the member, as Flyte's does
    """Where an action (or a run, which is its root action) stands."""

    QUEUED = "queued"
    WAITING_FOR_RESOURCES = "waiting_for_resources"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    """Waits for a condition to be signalled."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    RECOVERED = "recovered"
    """Taken over as it stands from an earlier run; as good as succeeded."""

    @classmethod
    def _missing_(cls, value: object) -> ActionPhase:
        phases = [phase.value for phase in cls]
        near = difflib.get_close_matches(str(value), phases, n=1)
        hint = f"did you mean {near[0]}?" if near else f"phases: {', '.join(phases)}"
        raise ValueError(f"There is no phase {value!r}; {hint}")

    @property
    def is_terminal(self) -> bool:
        """True when no other phase follows."""
        return self in _TERMINAL_PHASES


_TERMINAL_PHASES = frozenset(
    {ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.ABORTED, ActionPhase.TIMED_OUT, ActionPhase.RECOVERED}
)


@dataclass(frozen=True, kw_only=True)
class ActionID:
    """Names an action. `run_name` defaults to `name`: the root action of a run of that name."""

    name: str
    run_name: str | None = None
    project: str | None = None
    domain: str | None = None
    org: str | None = None

    def __post_init__(self) -> None:
        if self.run_name is None:
            object.__setattr__(self, "run_name", self.name)

    @classmethod
    def create_random(cls) -> ActionID:
        """The root action of a new run with a random name."""
        return cls(name=generate_random_name())

    def new_sub_action(self, name: str | None = None) -> ActionID:
        """An action of the same run, with the given name or a random one."""
        return replace(self, name=generate_random_name() if name is None else name)

    def unique_id_str(self, salt: str | None = None) -> str:
        """`project-domain-run-action`, followed by the salt where one is given."""
        unique_id = f"{self.project}-{self.domain}-{self.run_name}-{self.name}"
        return unique_id if salt is None else f"{unique_id}-{salt}"


@dataclass
class PathRewrite:
    """Replaces one prefix of the paths of a run's inputs by another.

    Raises:
        ValueError: when a prefix is empty, or both are the same.
    """

    old_prefix: str
    new_prefix: str

    def __post_init__(self) -> None:
        if not self.old_prefix or not self.new_prefix:
            raise ValueError("Both old_prefix and new_prefix must be non-empty strings.")
        if self.old_prefix == self.new_prefix:
            raise ValueError("old_prefix and new_prefix must be different.")

    @classmethod
    def from_str(cls, pattern: str) -> PathRewrite:
        """Reads `old_prefix->new_prefix`."""
        parts = pattern.split("->")
        if len(parts) != 2:
            raise ValueError(f"Invalid path rewrite pattern: {pattern}. Expected format 'old_prefix->new_prefix'.")
        return cls(*parts)

    def __repr__(self) -> str:
        return f"{self.old_prefix}->{self.new_prefix}"


@dataclass(frozen=True, kw_only=True)
class RawDataPath:
    """The folder (or the address of a bucket) under which files and large values of a run are put."""

    path: str
    path_rewrite: PathRewrite | None = None

    @classmethod
    def from_local_folder(cls, local_folder: str | Path | None = None) -> RawDataPath:
        """A folder of this machine, created when missing; a new temporary one when None is given."""
        if local_folder is None:
            return cls(path=tempfile.mkdtemp())
        if not isinstance(local_folder, str | Path):
            raise ValueError(f"Invalid local path {local_folder}")
        Path(local_folder).mkdir(parents=True, exist_ok=True)
        return cls(path=str(local_folder))

    def get_random_remote_path(self, file_name: str | None = None) -> str:
        """A path under this one that nothing else has; where it is local its folder is created, the path is not."""
        if "://" in self.path and not self.path.startswith("file://"):
            return "/".join(filter(None, (self.path.rstrip("/"), uuid4().hex, file_name)))
        path = Path(self.path.removeprefix("file://"), uuid4().hex, *filter(None, [file_name])).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)


@dataclass(frozen=True)
class GroupData:
    """The innermost `flyte.group` around a call."""

    name: str


@dataclass(frozen=True)
class CheckpointPaths:
    """Where an attempt saves its checkpoint, and where the one before it did."""

    prev_checkpoint_path: str | None
    checkpoint_path: str | None


@dataclass(frozen=True, kw_only=True)
class CodeBundle:
    """The code that a run executes, packed.

    Args:
        computed_version: digest of the code.
        destination: where it is unpacked.
        tgz: path of the archive, if it is one.
        pkl: path of the pickled task, if it is one.
        downloaded_path: where it was unpacked.
        files: the files in it.

    Raises:
        ValueError: when neither `tgz` nor `pkl` is given.
    """

    computed_version: str
    destination: str = "."
    tgz: str | None = None
    pkl: str | None = None
    downloaded_path: Path | None = None
    files: list[str] | None = None

    def __post_init__(self) -> None:
        if self.tgz is None and self.pkl is None:
            raise ValueError("Either tgz or pkl must be provided")

    def with_downloaded_path(self, path: Path) -> CodeBundle:
        """The same bundle, unpacked at the path."""
        return replace(self, downloaded_path=path)


@dataclass
class SerializationContext:
    """What is known when a task is written down for a server."""

    version: str
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    code_bundle: CodeBundle | None = None
    input_path: str = "{{.input}}"
    output_path: str = "{{.outputPrefix}}"
    interpreter_path: str = "/opt/venv/bin/python"
    image_cache: Any = None
    root_dir: Path | None = None


def _from_environment(name: str, doc: str, convert: Callable[[str], Any] = int) -> property:
    """A property that reads an environment variable; None where it is not set."""
    return property(lambda _: convert(os.environ[name]) if name in os.environ else None, doc=doc)


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """What `flyte.ctx()` shows to a running task.

    Attributes:
        action: this action.
        version: of the task; `na` for code that was not deployed.
        raw_data_path: where this run puts files.
        output_path: where this action puts its report.
        run_base_dir: folder of the run.
        report: the action's report.
        input_path: where the inputs are, None where they were passed in memory.
        group_data: the innermost group, or None.
        checkpoint_paths: where this attempt and the one before it save.
        code_bundle: the code of the run.
        compiled_image_cache: the images of the run.
        data: what `TaskTemplate.pre` returned; `ctx()["key"]` reads it.
        mode: where the run is: `local`, `remote` or `hybrid`.
        interactive_mode: True in a notebook.
        custom_context: what `flyte.custom_context` and the run handed down.
        disable_run_cache: True when the run ignores the cache.
        in_driver_literal_conversion: True while the values of a call are converted.
        run_start_time: when the run was started, UTC.
        task_action: the action of the running task; inside a trace `action` is the trace.
        attempt_number: how many attempts of the action came before this one.
    """

    action: ActionID
    version: str
    raw_data_path: RawDataPath
    output_path: str
    run_base_dir: str
    report: Any
    input_path: str | None = None
    group_data: GroupData | None = None
    checkpoint_paths: CheckpointPaths | None = None
    code_bundle: CodeBundle | None = None
    compiled_image_cache: Any = None
    data: dict[str, Any] = field(default_factory=dict)
    mode: Literal["local", "remote", "hybrid"] = "remote"
    interactive_mode: bool = False
    custom_context: Mapping[str, str] = field(default_factory=dict)
    disable_run_cache: bool = False
    in_driver_literal_conversion: bool = False
    run_start_time: datetime | None = field(default_factory=lambda: datetime.now(UTC))
    task_action: ActionID | None = None
    attempt_number: int = 0

    open_checkpoint: ClassVar[type[Any] | None] = None
    """The class `Checkpoint`; set by the module that hands contexts out, because it lies above this one."""

    def __post_init__(self) -> None:
        if self.task_action is None:
            object.__setattr__(self, "task_action", self.action)

    def replace(self, **changes: Any) -> TaskContext:
        """The same context with some fields changed; `data` is merged into what is there, None leaves it."""
        if "data" in changes:
            changes["data"] = {**(self.data or {}), **(changes["data"] or {})}
        return replace(self, **changes)

    rank = _from_environment("RANK", "Rank of this process among all of a clustered task's, as its launcher set it.")
    local_rank = _from_environment("LOCAL_RANK", "Rank of this process on its node.")
    world_size = _from_environment("WORLD_SIZE", "Number of the clustered task's processes.")
    local_world_size = _from_environment("LOCAL_WORLD_SIZE", "Number of them on this node.")
    node_rank = _from_environment("NODE_RANK", "Rank of this node.")
    nnodes = _from_environment("NNODES", "Number of nodes.")
    master_addr = _from_environment("MASTER_ADDR", "Address of the process of rank 0.", str)
    master_port = _from_environment("MASTER_PORT", "Port of the process of rank 0.")
    restart_attempt = _from_environment("JOBSET_RESTART_ATTEMPT", "How often the processes were restarted together.")

    def __getitem__(self, key: str) -> Any:
        return (self.data or {}).get(key)

    @property
    def checkpoint(self) -> Any:
        """Saves and loads this action's `flyte.Checkpoint`; None where there are no paths for it."""
        paths = self.checkpoint_paths
        if paths is None or not paths.checkpoint_path or self.open_checkpoint is None:
            return None
        if _CHECKPOINT not in self.data:
            self.data[_CHECKPOINT] = self.open_checkpoint(paths.checkpoint_path, paths.prev_checkpoint_path)
        return self.data[_CHECKPOINT]

    def is_in_cluster(self) -> bool:
        """True when the task runs on a Flyte backend."""
        return self.mode == "remote"


class NullTaskContext(TaskContext):
    """What `flyte.ctx()` returns where no task runs: falsy, every field None."""

    def __init__(self) -> None:
        for context_field in fields(TaskContext):
            object.__setattr__(self, context_field.name, None)
        object.__setattr__(self, "attempt_number", 0)

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NullTaskContext()"


NULL_TASK_CONTEXT = NullTaskContext()
