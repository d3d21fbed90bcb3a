"""How a task is carried out in one run: looked at once per run, then used by each of its calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from flyte_nb.authoring.cache import Cache, FunctionBodyPolicy, VersionParameters, cache_from_request
from flyte_nb.authoring.retry import Backoff
from flyte_nb.authoring.task import TaskTemplate
from flyte_nb.authoring.timeout import Timeout, timeout_from_request
from flyte_nb.engine.code.digests import deep_digest, own_digest
from flyte_nb.engine.code.run_code import recorded_task
from flyte_nb.engine.deadlines import Bounds
from flyte_nb.engine.declarations import pickled_types, place_of_task, settings_of, source_of
from flyte_nb.engine.hashing import hash_struct
from flyte_nb.engine.identity import interface_of, task_identity
from flyte_nb.engine.isolation import decide, needs_of
from flyte_nb.engine.links import addresses_of
from flyte_nb.engine.secrets.values import known_values
from flyte_nb.engine.state import RunState
from flyte_nb.executors.callee import callee_of
from flyte_nb.executors.frames import Code
from flyte_nb.executors.placement import Isolation, Needs, Placement
from flyte_nb.executors.worker.namespace import whole
from flyte_nb.store.events import TaskDeclared
from flyte_nb.types.signature import Signature, signature_of

__all__ = ["Plan", "cache_version", "plan_for"]


@dataclass(slots=True, eq=False)
class Plan:
    """A task template as it stood when the run first called it.

    Attributes:
        spec: number of its declaration within the run.
        identity: hash of interface and own digest: the part of an action's name that the code decides.
        interface: hash of the names and types of inputs and outputs.
        deep_digest: of its code and all tasks that it can reach.
        cache: None when results are neither looked up nor stored.
        cache_version: the version of the code under which results are cached; empty without a cache.
        timeout: bounds on the time of an attempt and of the action; None when there are none.
        place: cell and line of the declaration.
        isolation: where its attempts run.
        reason: why there, in words for people.
        needs: what an attempt holds of the machine.
        code: the task for another process, made at its first attempt there.
        placement: what a process needs to know, made at the first attempt there.
    """

    template: TaskTemplate[Any, Any]
    name: str
    signature: Signature
    function: Callable[..., Any]
    is_async: bool
    spec: int
    identity: bytes
    interface: bytes
    deep_digest: str
    cache: Cache | None
    cache_version: str
    retries: int
    backoff: Backoff | None
    timeout: Timeout | None
    place: str
    isolation: Isolation
    reason: str
    needs: Needs
    code: Code | None = None
    placement: Placement | None = None

    @property
    def is_local(self) -> bool:
        """Whether its attempts run in the kernel."""
        return self.isolation == "kernel"


def plan_for(run: RunState, template: TaskTemplate[Any, Any]) -> Plan:
    """The plan of a task in a run; declares the task in the run's record at its first call."""
    plan = run.plans.get(template)
    if plan is None:
        plan = run.plans[template] = _make_plan(run, template)
    return plan


def _make_plan(run: RunState, template: TaskTemplate[Any, Any]) -> Plan:
    if template.secrets:
        run.masker.add(known_values(template.secrets))
    signature = signature_of(template)
    own, deep = own_digest(template), deep_digest(template)
    inputs, outputs = signature.input_descriptions, signature.output_descriptions
    recorded = recorded_task(template)
    declared = whole(template) if recorded is None else recorded.template
    function, is_async = callee_of(declared)
    isolation, reason = decide(template, run.options)
    interface = interface_of(inputs, outputs)
    retries = template.retries
    timeout = timeout_from_request(template.timeout)
    cache = cache_from_request(template.cache)
    spec = _declare(run, template, declared, own, deep, inputs, outputs, isolation, reason)
    return Plan(
        template=template,
        name=template.name,
        signature=signature,
        function=function,
        is_async=is_async,
        spec=spec,
        identity=task_identity(interface, own),
        interface=interface,
        cache=cache if cache.is_enabled() else None,
        deep_digest=deep,
        cache_version=cache_version(template, cache, deep) if cache.is_enabled() else "",
        retries=retries if isinstance(retries, int) else retries.count,
        backoff=None if isinstance(retries, int) else retries.backoff,
        timeout=timeout if Bounds.are_set_by(timeout) else None,
        place=place_of_task(declared),
        isolation=isolation,
        reason=reason,
        needs=needs_of(template, isolation),
        code=recorded.code if recorded is not None else None,
    )


def cache_version(template: TaskTemplate[Any, Any], cache: Cache, deep: str) -> str:
    """What the user set, what policies of the user's own say, or the deep digest."""
    policies = cache.policies if isinstance(cache.policies, list) else []
    if cache.version_override is not None or any(type(policy) is not FunctionBodyPolicy for policy in policies):
        return cache.get_version(VersionParameters(func=getattr(template, "func", None), image=template.image))
    return f"{deep}{cache.salt}"


def _declare(
    run: RunState,
    template: TaskTemplate[Any, Any],
    declared: TaskTemplate[Any, Any],
    own: str,
    deep: str,
    inputs: list[tuple[str, str]],
    outputs: list[tuple[str, str]],
    isolation: str,
    reason: str,
) -> int:
    """Records the declaration unless an equal one (as of many equal overrides) stands already; returns its number."""
    settings = settings_of(template)
    recorded = recorded_task(template)
    if recorded is not None and recorded.owner.version:
        settings["version"] = recorded.owner.version
    if template.links:
        settings["links"] = addresses_of(template.links, run.name)
    key = hash_struct("spec", template.name, template.short_name, own, deep, msgspec.msgpack.encode(settings))
    spec = run.specs.get(key)
    if spec is not None:
        return spec
    spec = run.specs[key] = len(run.specs)
    event = TaskDeclared(
        run.name,
        template.name,
        spec,
        own,
        deep,
        source_of(declared),
        inputs,
        outputs,
        settings,
        pickled_types(template),
        template.short_name,
        place_of_task(declared),
        isolation,
        reason,
    )
    run.declared.append(event)
    run.sink.record(event)
    return spec
