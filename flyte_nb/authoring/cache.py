"""When a task's earlier result may stand for a new one.

behavior    auto      reuse it when inputs and version are equal
            override  execute, and replace it
            disable   neither read nor write
version     `version_override`, else the digest of what the policies say about the code
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from flyte_nb.authoring.image import Image
from flyte_nb.models import CodeBundle

__all__ = [
    "Cache",
    "CacheBehavior",
    "CachePolicy",
    "CacheRequest",
    "FunctionBodyPolicy",
    "VersionParameters",
    "cache_from_request",
    "get_default_policies",
]

CacheBehavior = Literal["auto", "override", "disable"]
BEHAVIORS: tuple[str, ...] = get_args(CacheBehavior)

ALIASES: dict[str, CacheBehavior] = {
    "enable": "auto",
    "enabled": "auto",
    "on": "auto",
    "true": "auto",
    "yes": "auto",
    "off": "disable",
    "false": "disable",
    "no": "disable",
    "none": "disable",
}
"""What users write for a behaviour, in any case."""


@dataclass
class VersionParameters:
    """What a policy knows about a task: its function, its image, the code of the run."""

    func: Callable[..., Any] | None
    image: str | Image | None = None
    code_bundle: CodeBundle | None = None


@runtime_checkable
class CachePolicy(Protocol):
    """Says which version the code of a task is: equal texts, equal versions."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """The version of the code as text."""


class FunctionBodyPolicy(CachePolicy):
    """The digest of the function's own source, comments left out."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        if params.func is None:
            return ""
        tree = ast.parse(textwrap.dedent(inspect.getsource(params.func)))
        return hashlib.sha256((ast.dump(tree) + salt).encode()).hexdigest()


def get_default_policies() -> list[CachePolicy]:
    """What decides about the version when no policy is given."""
    return [FunctionBodyPolicy()]


@dataclass
class Cache:
    """When a task's earlier result may stand for a new one.

    Args:
        behavior: `auto`, `override` or `disable`, or one of the aliases.
        version_override: the version, in place of what the policies say.
        serialize: of simultaneous calls with equal inputs one executes, the others wait for its result.
        ignored_inputs: names of inputs that do not count.
        salt: makes other keys of equal calls.
        policies: say the version; `FunctionBodyPolicy` unless given.
        max_age: how old a result may be that is reused (an int is seconds); None and 0 for any age.

    Raises:
        TypeError: when `max_age` is not an int or a timedelta.
        ValueError: for a behaviour that does not exist, a negative age, or no policy and no version.
    """

    behavior: CacheBehavior
    version_override: str | None = None
    serialize: bool = False
    ignored_inputs: tuple[str, ...] | str = ()
    salt: str = ""
    policies: list[CachePolicy] | CachePolicy | None = None
    max_age: timedelta | int | None = None

    def __post_init__(self) -> None:
        self.max_age = _checked_age(self.max_age)
        if self.behavior not in BEHAVIORS:
            alias = ALIASES.get(self.behavior.lower()) if isinstance(self.behavior, str) else None
            if alias is None:
                raise ValueError(
                    f"Invalid cache behavior: {self.behavior!r}. Must be one of {list(BEHAVIORS)} "
                    f"(aliases accepted: {sorted(ALIASES)})."
                )
            self.behavior = alias
        if self.behavior == "disable":
            return
        if self.policies is None:
            self.policies = get_default_policies()
        elif not isinstance(self.policies, list):
            self.policies = [self.policies]
        if self.version_override is None and not self.policies:
            raise ValueError("If version is not defined then at least one cache policy needs to be set")

    def is_enabled(self) -> bool:
        """True unless the behaviour is `disable`."""
        return self.behavior != "disable"

    def get_ignored_inputs(self) -> tuple[str, ...]:
        """Names of the inputs that do not count."""
        return (self.ignored_inputs,) if isinstance(self.ignored_inputs, str) else tuple(self.ignored_inputs)

    def get_version(self, params: VersionParameters | None = None) -> str:
        """The version of a task's code; empty when the cache is disabled.

        Raises:
            ValueError: when a policy fails, or is asked about nothing.
        """
        if not self.is_enabled():
            return ""
        if self.version_override is not None:
            return self.version_override
        if params is None:
            raise ValueError("Version parameters must be provided when version_override is not set.")
        if params.code_bundle is not None and params.code_bundle.pkl is not None:
            return params.code_bundle.computed_version
        versions = ""
        for policy in self.policies or []:  # type: ignore[union-attr]  # a list since __post_init__
            try:
                versions += policy.get_version(self.salt, params)
            except Exception as error:  # a policy is the user's code
                raise ValueError(f"Failed to generate version for cache policy {policy}.") from error
        return hashlib.sha256(versions.encode()).hexdigest()


CacheRequest = CacheBehavior | Cache


def cache_from_request(cache: CacheRequest) -> Cache:
    """The cache that a `cache=` parameter asks for."""
    return cache if isinstance(cache, Cache) else Cache(cache)


def _checked_age(max_age: Any) -> timedelta | None:
    if isinstance(max_age, bool) or not isinstance(max_age, int | timedelta | None):
        raise TypeError("max_age must be an int (seconds), timedelta, or None")
    age = timedelta(seconds=max_age) if isinstance(max_age, int) else max_age
    if age is not None and age < timedelta(0):
        raise ValueError("max_age must be nonnegative")
    return age
