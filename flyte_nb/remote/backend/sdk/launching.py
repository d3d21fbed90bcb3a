"""Runs and deploys what the kernel declared, through the official SDK.

The code goes as the SDK's pickled bundle: a notebook has no files that a source bundle could hold, and the user's own
modules are in the pickle. `flyte.deploy` refuses that, so the SDK's own steps are called one by one here: this module
knows its private names, and the tests that deploy to a server say when they change.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from typing import Any

import flyte
from flyte._code_bundle import build_pkl_bundle
from flyte._deploy import DeploymentPlan, _build_images_for_plans, _deploy_task, plan_deploy
from flyte._initialize import get_init_config
from flyte.models import CodeBundle, SerializationContext
from flyte.remote import Task, Trigger
from flyte.syncify import syncify

from flyte_nb.remote.backend.neutral import rebuilt

__all__ = ["CALLS", "Deployed"]

Deployed = list[tuple[str, str]]
"""(task, version)."""

_loading = threading.Lock()


def load(pickled: bytes) -> Any:
    """What the kernel translated; one at a time, for the tasks of one pickle are completed together."""
    with _loading:
        return rebuilt(pickled)


def start_run(pickled: bytes) -> str:
    """Starts a run on the backend.

    Args:
        pickled: (task, args, kwargs, options of `flyte.with_runcontext`).

    Returns:
        The run's name.
    """
    task, args, kwargs, options = load(pickled)
    return str(flyte.with_runcontext(mode="remote", interactive_mode=True, **options).run(task, *args, **kwargs).name)


def start_deployed(pickled: bytes, task: str, version: str) -> str:
    """Starts a run of a deployed task: (kwargs, options) as a pickle."""
    kwargs, options = load(pickled)
    found = Task.get(task, version=version)
    return str(flyte.with_runcontext(mode="remote", **options).run(found, **kwargs).name)


def start_trigger(pickled: bytes, task: str, trigger: str) -> str:
    """Starts the run of a trigger, as if it were due now: (kwargs, options) as a pickle."""
    kwargs, options = load(pickled)
    found = Trigger.get(name=trigger, task_name=task)
    return str(flyte.with_runcontext(mode="remote", **options).run(found, **kwargs).name)


@syncify
async def deploy(pickled: bytes, version: str | None, dry_run: bool) -> list[tuple[str, Deployed]]:
    """Deploys environments with all their tasks and what they depend on.

    Args:
        pickled: (environments, their tasks).
        version: of all of them; None for one that their code decides.
        dry_run: only says what would be deployed.

    Returns:
        (environment, its tasks) for each.
    """
    environments, _ = load(pickled)
    plans = plan_deploy(*environments, version=version)
    images = None if dry_run else await _build_images_for_plans(plans, get_init_config().images)
    deployed = [await _deploy_plan(plan, images, dry_run) for plan in plans]
    return [environment for plan in deployed for environment in plan]


async def _deploy_plan(plan: DeploymentPlan, images: Any, dry_run: bool) -> list[tuple[str, Deployed]]:
    environments = [found for found in plan.envs.values() if isinstance(found, flyte.TaskEnvironment)]
    tasks = [(environment, task) for environment in environments for task in environment.tasks.values()]
    bundles = [await build_pkl_bundle(task, upload_to_controlplane=not dry_run) for _, task in tasks]
    version = plan.version or _version(bundles)
    config = get_init_config()
    deployed: dict[str, Deployed] = {name: [] for name in plan.envs}

    async def deploy_one(environment: Any, task: Any, bundle: CodeBundle) -> None:
        context = SerializationContext(
            project=config.project,
            domain=config.domain,
            org=config.org,
            code_bundle=bundle,
            version=version,
            image_cache=images,
            root_dir=config.root_dir,
        )
        await _deploy_task(task, context, dryrun=dry_run)
        deployed[environment.name].append((task.name, version))

    await asyncio.gather(*(deploy_one(*pair, bundle) for pair, bundle in zip(tasks, bundles, strict=True)))
    return list(deployed.items())


def _version(bundles: list[CodeBundle]) -> str:
    """One version for a plan: the digest of all its code."""
    return hashlib.md5("".join(bundle.computed_version for bundle in bundles).encode()).hexdigest()


CALLS: dict[str, Callable[..., Any]] = {
    "deploy": deploy,
    "start_deployed": start_deployed,
    "start_run": start_run,
    "start_trigger": start_trigger,
}
