"""The environment form: its code, executed, declares the environment that was described."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

import flyte_nb as flyte
from flyte_nb.notebook.forms.environment import EnvironmentForm, environment_code
from flyte_nb.notebook.forms.environment_code import Draft, Reuse, SecretName, TaskStub, code_of, problems_of
from flyte_nb.notebook.magics.commands import execute
from flyte_nb.remote.errors import CommandError

words = some.text(max_size=20)
names = some.from_regex(r"[a-z][a-z0-9]{0,8}([_-][a-z0-9]{1,5}){0,2}", fullmatch=True)
keys = some.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
packages = some.lists(words.filter(str.strip), max_size=3)
drafts = some.builds(
    Draft,
    name=names,
    variable=some.sampled_from(["env", "größe", "_e1"]),
    description=words,
    packages=packages,
    apt_packages=packages,
    cpu=some.sampled_from(["", "2", "0.5", "500m"]),
    memory=some.sampled_from(["", "512Mi", "4G"]),
    gpu=some.sampled_from(["", "T4:1", "A100:8"]),
    cache=some.sampled_from(["disable", "auto", "override"]),
    env_vars=some.dictionaries(keys, words, max_size=3),
    secrets=some.lists(some.builds(SecretName, keys, some.just("") | keys, some.just("") | keys), max_size=2),
    interruptible=some.booleans(),
    reusable=some.none()
    | some.builds(
        Reuse,
        some.integers(2, 5),
        some.integers(1, 4),
        some.integers(30, 900),
        some.sampled_from(["global", "run"]),
    ),
    task=some.none() | some.builds(TaskStub, some.just("main"), some.integers(0, 5), some.integers(0, 900)),
)


def described(draft: Draft) -> flyte.TaskEnvironment:
    """The environment that a draft means, made without its code."""
    image: Any = "auto"
    if draft.packages or draft.apt_packages:
        image = flyte.Image.from_debian_base()
    if draft.packages:
        image = image.with_pip_packages(*draft.packages)
    if draft.apt_packages:
        image = image.with_apt_packages(*draft.apt_packages)
    cpu = int(draft.cpu) if draft.cpu.isdigit() else draft.cpu or None
    needs = draft.cpu or draft.memory or draft.gpu
    reuse = draft.reusable
    return flyte.TaskEnvironment(
        draft.name,
        description=draft.description or None,
        image=image,
        resources=flyte.Resources(cpu, draft.memory or None, draft.gpu or None) if needs else None,
        cache=draft.cache,
        env_vars=draft.env_vars or None,
        secrets=[flyte.Secret(one.key, one.group or None, None, one.as_env_var or None) for one in draft.secrets]
        or None,
        interruptible=draft.interruptible,
        reusable=flyte.ReusePolicy(reuse.replicas, reuse.idle_ttl_seconds, reuse.concurrency, scope=reuse.scope)
        if reuse
        else None,
    )


SETTINGS = (
    *("name", "description", "image", "resources", "cache", "env_vars", "secrets", "interruptible", "reusable"),
    *("depends_on", "pod_template", "include", "service_account", "plugin_config", "queue"),
)


@given(drafts)
def test_the_code_executed_gives_the_environment_that_was_described(draft: Draft) -> None:
    assert list(problems_of(draft)) == []
    namespace: dict[str, Any] = {}
    exec(code_of(draft), namespace)
    made, expected = namespace[draft.variable], described(draft)
    assert {name: getattr(made, name) for name in SETTINGS} == {name: getattr(expected, name) for name in SETTINGS}
    if draft.task is None:
        assert made.tasks == {}
    else:
        (task,) = made.tasks.values()
        assert task.name == f"{draft.name}.main"
        assert task.retries in (draft.task.retries, flyte.RetryStrategy(draft.task.retries))
        assert flyte.Timeout(task.timeout) == flyte.Timeout(draft.task.timeout_seconds)


@given(drafts)
def test_the_form_reads_a_draft_back_from_the_page(draft: Draft) -> None:
    entries = {name: {"json": value} for name, value in json.loads(json.dumps(asdict(draft))).items()}
    form = EnvironmentForm({})
    assert form.check(entries) == []
    assert form.do(entries)["code"] == form.code(entries) == code_of(draft)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"name": "Train"}, "name"),
        ({"name": "train", "variable": "class"}, "variable"),
        ({"name": "train", "cpu": "many"}, "cpu"),
        ({"name": "train", "memory": "4 GB"}, "memory"),
        ({"name": "train", "gpu": "T4:99"}, "gpu"),
        ({"name": "train", "cache": "always"}, "cache"),
        ({"name": "train", "packages": [" "]}, "packages.0"),
        ({"name": "train", "env_vars": {"": "x"}}, "env_vars."),
        ({"name": "train", "secrets": [SecretName("a b")]}, "secrets.0"),
        ({"name": "train", "reusable": Reuse(replicas=-1)}, "reusable.replicas"),
        ({"name": "train", "reusable": Reuse(idle_ttl_seconds=3)}, "reusable.idle_ttl_seconds"),
        ({"name": "train", "task": TaskStub("not a name")}, "task.name"),
        ({"name": "train", "task": TaskStub(retries=-1)}, "task.retries"),
        ({}, "name"),
    ],
)
def test_what_flyte_would_refuse_is_said_where_it_stands(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(CommandError) as caught:
        environment_code(settings)
    assert str(caught.value).startswith(f"{where}: ")
    plain = {
        name: [asdict(one) if isinstance(one, SecretName) else one for one in value]
        if isinstance(value, list)
        else asdict(value)
        if isinstance(value, Reuse | TaskStub)
        else value
        for name, value in settings.items()
    }
    problems = EnvironmentForm({}).check({name: {"json": value} for name, value in plain.items()})
    assert [".".join(map(str, (problem["field"], *problem["path"]))) for problem in problems] == [where]


def test_outside_a_notebook_the_form_says_how_it_is_done_by_hand() -> None:
    with pytest.raises(CommandError, match=r"Forms are drawn in notebooks\. Here: %flyte env NAME --package"):
        execute({}, "env --form")
