"""Values of secrets, looked up when a task is first called, for the environment of its process only.

    secrets="api-key"                              ->  {"API_KEY": ...}
    secrets=Secret("key", group="openai")          ->  {"OPENAI_KEY": ...}
    secrets=Secret("key", as_env_var="LLM_KEY")    ->  {"LLM_KEY": ...}

Four places are asked, in this order:

    environment   the variable itself, then GROUP_KEY (KEY without a group)
    .env          the same names, in the nearest `.env` from the working directory up to the project's root
    store         KEY, or GROUP_KEY, as it is written (`flyte_nb.remote.Secret`)
    keyring       of the system: service GROUP (`flyte_nb` without a group), user name KEY
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from flyte_nb.authoring.secret import MOUNT_PATH, Secret, SecretRequest, secrets_from_request
from flyte_nb.errors import RuntimeUserError
from flyte_nb.store.home import Home, project_root
from flyte_nb.store.secrets import StoredSecrets

__all__ = ["KEYRING_SERVICE", "known_values", "process_variables", "resolve"]

KEYRING_SERVICE = "flyte_nb"
"""Service under which the keyring holds secrets that name no group."""
KEYRING_TIMEOUT_SECONDS = 5.0
"""A keyring may wait for somebody who unlocks it, or for a daemon that is not there."""


def process_variables(
    task_variables: Mapping[str, str] | None,
    run_variables: Mapping[str, str] | None,
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """What the environment of a task's process has beyond the kernel's, as on a cluster.

    The run's variables replace those of the task and its environment, and a secret replaces both.

    Raises:
        TypeError: one is not text.
    """
    variables = {**(task_variables or {}), **(run_variables or {}), **secrets}
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env_vars holds text only, got {name!r}: {value!r}; write {str(name)!r}: {str(value)!r}")
    return variables


def known_values(request: SecretRequest | None) -> dict[str, str]:
    """The values that are found at once, without the keyring: so that they are masked before anything is recorded."""
    asked = [secret for secret in secrets_from_request(request) if secret.as_env_var is not None]
    return _look_nearby(asked)[0]


def resolve(request: SecretRequest | None) -> dict[str, str]:
    """The values of the secrets that a task asks for, by the environment variable that holds each.

    It may block for a few seconds where the keyring has to be asked; the kernel's own environment is never changed.

    Args:
        request: the task's `secrets=`.

    Raises:
        flyte_nb.errors.RuntimeUserError: some are found nowhere (`SecretNotFoundError`), or are asked for as a file
            only (`SecretMountError`).
    """
    asked = {variable_of(secret): secret for secret in secrets_from_request(request)}
    values, nearby = _look_nearby(list(asked.values()))
    missing = [secret for name, secret in asked.items() if name not in values]
    if missing:
        found, in_keyring = _ask_keyring(missing)
        values.update(found)
        missing = [secret for secret in missing if variable_of(secret) not in values]
        if missing:
            raise _not_found(missing, [*nearby, in_keyring])
    return values


def variable_of(secret: Secret) -> str:
    """The environment variable that holds a secret.

    Raises:
        flyte_nb.errors.RuntimeUserError: it is asked for as a file only.
    """
    if secret.as_env_var is None:
        name = names_of(secret)[0]
        raise RuntimeUserError(
            "SecretMountError",
            f"{words_for(secret)} is asked for as a file in {MOUNT_PATH}, which only a container can have. "
            f"Ask for a variable: flyte.Secret({secret.key!r}, as_env_var={name!r}), and read os.environ[{name!r}].",
        )
    return secret.as_env_var


def names_of(secret: Secret) -> list[str]:
    """The variables that may hold a secret's value here, the first that is set wins."""
    default = stored_name(secret).replace("-", "_").upper()
    return list(dict.fromkeys(name for name in (secret.as_env_var, default) if name))


def first_of(names: Iterable[str], variables: Mapping[str, str | None]) -> str | None:
    """The first value that is set and not empty."""
    return next((value for name in names if (value := variables.get(name))), None)


def stored_name(secret: Secret) -> str:
    """Under which the store keeps it."""
    return f"{secret.group}_{secret.key}" if secret.group else secret.key


def words_for(secret: Secret) -> str:
    return f"The secret {secret.key!r}" + (f" of group {secret.group!r}" if secret.group else "")


def _look_nearby(secrets: list[Secret]) -> tuple[dict[str, str], list[str]]:
    """The values that the environment, a `.env` or the store holds, and in words where was looked beside the
    environment, as far as that had to be."""
    values: dict[str, str] = {}
    left = _take(values, secrets, lambda secret: first_of(names_of(secret), os.environ))
    if not left:
        return values, []
    from_file, in_file = _read_dotenv()
    left = _take(values, left, lambda secret: first_of(names_of(secret), from_file))
    if not left:
        return values, [in_file]
    home = Home.find()
    stored = StoredSecrets(home)
    _take(values, left, lambda secret: stored.value(stored_name(secret)))
    return values, [in_file, f"the secrets of the store {home.path}"]


def _take(values: dict[str, str], secrets: Iterable[Secret], find: Callable[[Secret], str | None]) -> list[Secret]:
    """Adds the values that are found; returns the secrets that are left."""
    left = []
    for secret in secrets:
        value = find(secret)
        if value:
            values[variable_of(secret)] = value
        else:
            left.append(secret)
    return left


def _read_dotenv() -> tuple[Mapping[str, str | None], str]:
    """What the nearest `.env` sets, and in words where that was looked for."""
    here = Path.cwd()
    root = project_root(here)
    folders = [here, *here.parents]
    path = next((folder / ".env" for folder in folders[: folders.index(root) + 1] if (folder / ".env").is_file()), None)
    if path is None:
        return {}, f"a file .env in {here}" + (f" and up to {root}" if root != here else "") + " (there is none)"
    from dotenv import dotenv_values

    try:
        return dotenv_values(path), f"the file {path}"
    except (OSError, UnicodeDecodeError) as error:
        return {}, f"the file {path} (cannot be read: {error})"


def _ask_keyring(secrets: list[Secret]) -> tuple[dict[str, str], str]:
    """The values that the system's keyring holds, and in words how it was asked.

    It is asked in a thread of its own, which is left behind when the keyring does not answer.
    """
    services = ", ".join(dict.fromkeys(repr(secret.group or KEYRING_SERVICE) for secret in secrets))
    place = f"the keyring (service {services})"
    try:
        import keyring
    except ImportError:
        return {}, f"{place} (not looked at: pip install 'flyte_nb[secrets]')"
    values: dict[str, str] = {}
    failures: list[str] = []

    def ask() -> None:
        for secret in secrets:
            try:
                value = keyring.get_password(secret.group or KEYRING_SERVICE, secret.key)
            except Exception as error:  # a third-party backend raises anything; the error of the missing secret says it
                failures.append(f"{type(error).__name__}: {error}".partition(". ")[0])
                return
            if value:
                values[variable_of(secret)] = value

    thread = threading.Thread(target=ask, name="flyte-keyring", daemon=True)
    thread.start()
    thread.join(KEYRING_TIMEOUT_SECONDS)
    if thread.is_alive():
        failures.append(f"it did not answer within {KEYRING_TIMEOUT_SECONDS:g} s")
    return dict(values), place + (f" ({failures[0]})" if failures else "")


def _not_found(missing: list[Secret], places: list[str]) -> RuntimeUserError:
    lines = [f"{words_for(secret)} was not found: {' or '.join(names_of(secret))} is not set." for secret in missing]
    name = names_of(missing[0])[0]
    lines.append(
        f"Looked at the environment variables of this process, {', '.join(places[:-1])}, and {places[-1]}. "
        f"Set it with os.environ[{name!r}] = ... (or %env), a line {name}=... in .env, "
        f"flyte.remote.Secret.create({stored_name(missing[0])!r}, ...), or `keyring set "
        f"{missing[0].group or KEYRING_SERVICE} {missing[0].key}`."
    )
    return RuntimeUserError("SecretNotFoundError", "\n".join(lines))
