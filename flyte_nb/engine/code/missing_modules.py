"""A module that a task did not find: the task's image is where it is, or should be."""

from __future__ import annotations

from flyte_nb.authoring.image import Image
from flyte_nb.engine.plans import Plan

__all__ = ["explain_missing_module"]


def explain_missing_module(error: BaseException, plan: Plan) -> BaseException:
    """Adds a note to an error about a missing module. Any other error is left as it is.

    Returns:
        The error.
    """
    missing = next((one for one in (error, error.__cause__) if isinstance(one, ModuleNotFoundError)), None)
    if missing is not None and missing.name is not None and (note := _note(missing.name, plan)):
        error.add_note(note)
    return error


def _note(module: str, plan: Plan) -> str:
    environment = plan.template.parent_env_name or plan.name
    if plan.isolation == "virtualenv":
        return (
            f"The virtual environment of {environment} holds what its image says, and nothing of the kernel's: add the "
            f"package that has {module.partition('.')[0]!r} to the image (with_pip_packages)."
        )
    if isinstance(plan.template.image, Image) and plan.template.image._layers:
        return f"The image of {environment} is used with isolation='virtualenv' only; this ran in the kernel's Python."
    return ""
