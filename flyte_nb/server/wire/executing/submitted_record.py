"""What is recorded of the runs of Flyte's own tasks that this server executes, and what their processes have written.

The methods block; they may be called from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flyteidl2.actions import actions_service_pb2
from flyteidl2.common import identifier_pb2, run_pb2
from flyteidl2.task import common_pb2, task_definition_pb2
from flyteidl2.workflow import run_service_pb2
from google.protobuf.json_format import MessageToDict

from flyte_nb.authoring.condition import ConditionWebhook
from flyte_nb.engine.conditions import INPUTS
from flyte_nb.engine.identity import ROOT
from flyte_nb.engine.secrets.masking import Masker
from flyte_nb.engine.secrets.values import resolve
from flyte_nb.engine.webhooks import tell_webhook
from flyte_nb.executors.capture import LOG_LIMIT_BYTES
from flyte_nb.executors.log_files import CONTINUED, append_to_log_file, continued_in
from flyte_nb.server.wire.executing.commands import Command, secrets_of
from flyte_nb.server.wire.executing.outcomes import failed_as
from flyte_nb.server.wire.executing.result_cache import ResultCache
from flyte_nb.server.wire.executing.submitted import Ending, Family, SubmittedAction, SubmittedRun
from flyte_nb.server.wire.filters import phase_name
from flyte_nb.server.wire.originals import NAME, Originals
from flyte_nb.server.wire.recording import Beginning, Recording
from flyte_nb.server.wire.records import Records
from flyte_nb.server.wire.uploads import Uploads
from flyte_nb.server.wire.values.payloads import ActionTypes
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    AttemptStarted,
    Event,
    LogWritten,
    ReportWritten,
    RunEnded,
    RunStarted,
    TaskDeclared,
)
from flyte_nb.store.requests import Request, Requests
from flyte_nb.types.steps import encode_values

__all__ = ["SubmittedRecord"]

WHERE = "process"
REASON = "a task of Flyte's own SDK, in a process with this server's Python for its image"
REUSABLE = ("succeeded", "recovered")
CACHE = "cache:"
"""What the source of a cached result begins with."""
LINEAGES = {run_pb2.RELATION_TYPE_RERUN: "reruns", run_pb2.RELATION_TYPE_RECOVER: "recovers"}
DATA_TYPES = {1: "int", 2: "float", 3: "str", 4: "bool"}
"""Names of the protocol's simple types."""
PROMPT_TYPES = {1: "text", 2: "markdown"}


class SubmittedRecord:
    """The journal and the files of runs that are being executed.

    Args:
        records: the store.
        uploads: the folder in which clients and processes put values.
    """

    def __init__(self, records: Records, uploads: Uploads) -> None:
        self._records = records
        self._uploads = uploads
        self._originals = Originals(uploads)
        self._recording = Recording(records, uploads, WHERE, REASON)
        self.cache = ResultCache(uploads)
        self._masker = Masker(records.values)
        self._requests = Requests(records.home)

    def close(self) -> None:
        """Ends the journal."""
        self._recording.close()

    def requests(self) -> list[Request]:
        """What other processes ask of these runs, each once."""
        return self._requests.take(self._recording.journal.identifier)

    def new_run(
        self, name: str, spec: task_definition_pb2.TaskSpec, request: run_service_pb2.CreateRunRequest
    ) -> tuple[SubmittedRun, common_pb2.Inputs]:
        """A run that a client asks for, and its inputs.

        Raises:
            FileNotFoundError: its inputs were not uploaded.
            ValueError: its name cannot be one, it asks for what there is not, or its inputs are not the task's.
        """
        folder = self._originals.folder(name)
        if request.run_spec.run_base_dir:
            raise ValueError("run_base_dir cannot be chosen here: runs write into the store's folder of uploads")
        if request.run_spec.HasField("notification_rules") or request.run_spec.notification_rule_name:
            raise ValueError("Notifications of runs are not sent from here: start the run without")
        named = request.run_id if request.WhichOneof("id") == "run_id" else request.project_id
        is_project = isinstance(named, identifier_pb2.ProjectIdentifier)
        identifier = identifier_pb2.RunIdentifier(
            org=named.organization if is_project else named.org,
            project=named.name if is_project else named.project,
            domain=named.domain,
            name=name,
        )
        inputs = self._inputs(spec, self._uploads.inputs(request))
        self._uploads.write(f"runs/{name}/inputs.pb", inputs.SerializeToString(deterministic=True))
        return SubmittedRun(identifier, request.run_spec, folder, Family()), inputs

    def begin_run(self, root: SubmittedAction, spec: task_definition_pb2.TaskSpec, inputs: common_pb2.Inputs) -> None:
        """Records that a run begins, with its root."""
        run = root.run
        related = run.spec.relation
        options = {"lineage": LINEAGES[related.relation_type]} if related.relation_type in LINEAGES else {}
        began = RunStarted(
            run=run.name,
            at_ns=run.began_ns,
            task=spec.task_template.id.name,
            labels=dict(run.spec.labels.values),
            annotations=dict(run.spec.annotations.values),
            parent_run=run.asked_by.run.name if run.asked_by is not None else related.related_to.name,
            options=options,
            environment=spec.environment.name,
        )
        beginning = Beginning(action=ROOT, at_ns=run.began_ns, spec=spec, inputs=inputs)
        root.types, events = self._begin(run, beginning)
        self._write([began, *events])

    def begin(self, action: SubmittedAction, asked: actions_service_pb2.Action) -> None:
        """Records that an action of a task or condition begins.

        Raises:
            FileNotFoundError: its inputs are not where it says.
            ValueError: they are none, or its name cannot be one.
        """
        check_name(action.name)
        if asked.HasField("condition"):
            self._write([self._condition(action, asked)])
            return
        inputs = self._recording.read(asked.input_uri, common_pb2.Inputs)
        beginning = Beginning(
            action=action.name,
            parent=asked.parent_action_name,
            group=asked.group,
            at_ns=time.time_ns(),
            spec=action.spec,
            inputs=inputs,
        )
        action.types, events = self._begin(action.run, beginning)
        self._write(events)

    def trace(self, action: SubmittedAction, asked: actions_service_pb2.Action) -> Ending:
        """Records a traced function, which has ended when it is told of.

        Raises:
            FileNotFoundError: its values are not where it says.
            ValueError: they cannot be read.
        """
        check_name(action.name)
        trace, is_again = asked.trace, action.attempt > 0
        began_ns, ended_ns = trace.start_time.ToNanoseconds(), trace.end_time.ToNanoseconds()
        beginning = Beginning(
            action=action.name,
            parent=asked.parent_action_name,
            group=asked.group,
            at_ns=began_ns,
            name=trace.name,
            interface=trace.spec.interface,
            inputs=self._recording.read(asked.input_uri, common_pb2.Inputs),
        )
        action.types, events = self._begin(action.run, beginning)
        action.attempt += 1
        action.started_ns = began_ns
        ending = Ending(phase_name(trace.phase), output_uri=trace.outputs.output_uri)
        failure = action.run.base / action.name / "error.pb"
        if ending.phase == "failed" and failure.is_file():
            ending = failed_as(failure.read_bytes())
        started = AttemptStarted(action.run.name, action.name, action.attempt, began_ns, WHERE)
        self._write([*([started] if is_again else events), *self._ending(action, ending, ended_ns)])
        return ending

    def reusable(self, action: SubmittedAction) -> Ending | None:
        """The result of another action that stands for this one's: of the run that is recovered, or of its cache
        key."""
        return self._recovered(action) or self.cache.find(action)

    def start_attempt(self, action: SubmittedAction, spec: task_definition_pb2.TaskSpec, address: str) -> Command:
        """Records that an attempt starts; returns what its process is to do.

        Raises:
            flyte_nb.errors.RuntimeUserError: a secret is nowhere.
        """
        run = action.run
        secrets = resolve(secrets_of(spec))
        self._masker.add(secrets)
        action.started_ns = time.time_ns()
        action.phase = "running"
        self._write([AttemptStarted(run.name, action.name, action.attempt, action.started_ns, WHERE)])
        return Command(
            action=action.identifier,
            attempt=action.attempt,
            spec=spec,
            inputs=action.inputs,
            base=run.base,
            raw=run.spec.raw_data_storage.raw_data_prefix,
            began_ns=run.began_ns,
            variables={**{one.key: one.value for one in run.spec.envs.values}, **secrets},
            address=address,
        )

    def log(self, action: SubmittedAction, folder: Path) -> Callable[[str, str], None]:
        """Takes what an attempt prints: into the journal, and from some size on into a file."""
        kept, rest = 0, folder / "rest.log"

        def write(stream: str, text: str) -> None:
            nonlocal kept
            is_full, text = kept > LOG_LIMIT_BYTES, self._masker.mask(text)
            kept += len(text)
            if kept > LOG_LIMIT_BYTES:
                stream, note = CONTINUED, continued_in(rest)
                try:
                    append_to_log_file(rest, text)
                except OSError as error:
                    stream, note = "stderr", f"... and what comes after is lost: {error}"
                if is_full:
                    return
                text = note
            self._write([LogWritten(action.run.name, action.name, action.attempt, time.time_ns(), stream, text)])

        return write

    def report(self, action: SubmittedAction, html: str) -> None:
        """Records the report of an attempt, as far as it goes."""
        self._write([ReportWritten(action.run.name, action.name, action.attempt, time.time_ns(), html)])

    def end_attempt(self, action: SubmittedAction, ending: Ending) -> None:
        """Records that an attempt ended, and another follows."""
        name, began_ns, now_ns = action.name, action.started_ns, time.time_ns()
        self._write([AttemptEnded(action.run.name, name, action.attempt, ending.phase, began_ns, now_ns, ending.error)])

    def end(self, action: SubmittedAction, ending: Ending) -> None:
        """Records that an action ended; a run, with its root."""
        now_ns = time.time_ns()
        events = self._ending(action, ending, now_ns)
        if action.parent is None:
            events.append(RunEnded(action.run.name, now_ns, ending.phase, ending.error))
        self._write(events)

    def pause(self, action: SubmittedAction) -> None:
        """Records that a condition waits for its answer, and has its webhook told."""
        action.attempt, action.started_ns, action.phase = 1, time.time_ns(), "paused"
        self._write([AttemptStarted(action.run.name, action.name, 1, action.started_ns, WHERE, "paused")])
        if action.webhook is not None:
            run, home = action.run.name, self._records.home
            tell_webhook(action.webhook, action.condition, run, action.name, action.timeout_seconds, home)

    def _inputs(self, spec: task_definition_pb2.TaskSpec, given: common_pb2.Inputs) -> common_pb2.Inputs:
        """The inputs with the defaults of what is not given.

        Raises:
            ValueError: they are not the task's.
        """
        name, variables = spec.task_template.id.name, spec.task_template.interface.inputs.variables
        taken = [one.key for one in variables]
        names = {one.name for one in given.literals}
        if unknown := sorted(names.difference(taken)):
            raise ValueError(f"{name} takes ({', '.join(taken)}), not {', '.join(unknown)}")
        inputs = common_pb2.Inputs()
        inputs.CopyFrom(given)
        for default in spec.default_inputs:
            if default.name not in names and default.parameter.HasField("default"):
                inputs.literals.add(name=default.name, value=default.parameter.default)
                names.add(default.name)
        if missing := [one for one in taken if one not in names]:
            raise ValueError(f"{name} takes ({', '.join(taken)}): {', '.join(missing)} missing")
        return inputs

    def _begin(self, run: SubmittedRun, beginning: Beginning) -> tuple[ActionTypes, list[Event]]:
        try:
            types, events = self._recording.begin(run.outline, beginning)
        except ValueError:  # a value that says nothing here: the task may know what to do with it
            types, events = self._recording.begin(run.outline, replace(beginning, inputs=None))
        for event in events:
            if isinstance(event, TaskDeclared) and beginning.spec is not None:
                self._originals.keep_task(run.name, event.spec, beginning.spec)
        return types, events

    def _recovered(self, action: SubmittedAction) -> Ending | None:
        """What the action of that name returned in the run that this one recovers. The root always runs again."""
        wanted, run, name = action.run.spec, action.run.spec.relation.related_to.name, action.name
        if wanted.relation.relation_type != run_pb2.RELATION_TYPE_RECOVER or action.parent is None:
            return None
        if name in wanted.recover.force_rerun_actions:
            return None
        while True:
            try:
                row = self._records.store.action(run, name)
            except KeyError:
                return None
            if row.name != name or row.phase not in REUSABLE:
                return None
            if not row.source:
                folder = self._originals.folder(run) / name / str(row.attempt)
                is_there = not action.types.outputs or (folder / "outputs.pb").is_file()
                return Ending("recovered", output_uri=str(folder), source=f"{run}/{name}") if is_there else None
            run, _, name = row.source.removeprefix(CACHE).partition("/")

    def _condition(self, action: SubmittedAction, asked: actions_service_pb2.Action) -> Event:
        condition = asked.condition
        action.data_type = DATA_TYPES.get(condition.type.simple, "str")
        seconds = condition.timeout.ToTimedelta().total_seconds() if condition.HasField("timeout") else None
        action.timeout_seconds, action.condition = seconds, condition.name
        if condition.webhook.url:
            action.webhook = ConditionWebhook(condition.webhook.url, MessageToDict(condition.webhook.payload))
        question = [
            condition.prompt,
            condition.description,
            action.data_type,
            PROMPT_TYPES.get(condition.prompt_type, "text"),
            seconds,
        ]
        run = action.run.outline
        run.actions += 1
        return ActionStarted(
            run.name,
            action.name,
            asked.parent_action_name,
            "condition",
            condition.name,
            -1,
            run.actions - 1,
            time.time_ns(),
            encode_values(question, self._records.values),
            asked.group,
            inputs=list(INPUTS),
        )

    def _ending(self, action: SubmittedAction, ending: Ending, at_ns: int) -> list[Event]:
        """The event by which an action ends; outputs that cannot be recorded cost a note."""
        outputs, note = None, ""
        if ending.answer is not None:
            outputs = encode_values([ending.answer], self._records.values)
        elif ending.phase in REUSABLE:
            uri = ending.output_uri if action.spec is None else f"{ending.output_uri}/outputs.pb"
            try:
                outputs = self._recording.outputs(uri if action.types.outputs else "", action.types.outputs)
            except (OSError, ValueError) as error:
                note = f"The outputs cannot be recorded: {error}"
        return [
            ActionEnded(
                action.run.name,
                action.name,
                max(action.attempt, 1),
                ending.phase,
                action.started_ns or at_ns,
                at_ns,
                outputs,
                ending.error,
                ending.source,
                note,
                WHERE,
            )
        ]

    def _write(self, events: list[Event]) -> None:
        if self._masker.active:
            events = [self._masker.mask_event(event) for event in events]
        self._recording.record(events)


def check_name(name: str) -> None:
    """Whether an action can have a name: it becomes a folder."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name[:200]!r} cannot be the name of an action: letters, digits, _ . - (up to 128)")
