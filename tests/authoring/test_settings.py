"""Retries, timeouts, reuse, secrets, caches, resources, pods: what is checked where it is written."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.authoring.cache import Cache, CachePolicy, FunctionBodyPolicy, VersionParameters, cache_from_request
from flyte_nb.authoring.devices import AMD_GPU, APPLE_SILICON, GPU, HABANA_GAUDI, TPU, Device, Neuron
from flyte_nb.authoring.documentation import extract_docstring
from flyte_nb.authoring.pod_template import PodTemplate
from flyte_nb.authoring.resources import Resources, parse_cpu, parse_memory_bytes
from flyte_nb.authoring.retry import Backoff, RetryStrategy
from flyte_nb.authoring.reuse import ReusePolicy
from flyte_nb.authoring.secret import Secret, secrets_from_request
from flyte_nb.authoring.timeout import Timeout, timeout_from_request
from flyte_nb.models import CodeBundle

SECOND = timedelta(seconds=1)


def refuses(message: str, error: type[Exception] = ValueError) -> Any:
    return pytest.raises(error, match=re.escape(message))


# ---------------------------------------------------------------- retries and timeouts


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base": -SECOND}, "Backoff.base must be >= 0"),
        ({"base": SECOND, "factor": 0.5}, "Backoff.factor must be >= 1.0, got 0.5"),
        ({"base": SECOND, "factor": float("nan")}, "Backoff.factor must be a finite number"),
        ({"base": SECOND, "factor": "2"}, "Backoff.factor must be a finite number, got '2'"),
        ({"base": SECOND, "factor": 2.0}, "Backoff.cap is required when factor > 1.0"),
        ({"base": SECOND, "cap": -SECOND}, "Backoff.cap must be >= 0"),
    ],
)
def test_an_impossible_backoff_is_refused(settings: dict[str, Any], message: str) -> None:
    with refuses(message):
        Backoff(**settings)


def test_a_backoff_grows_up_to_its_cap() -> None:
    backoff = Backoff(base=10 * SECOND, factor=2.0, cap=timedelta(minutes=1))
    assert [backoff.compute_delay(n).total_seconds() for n in (0, 1, 2, 3, 4, 10_000)] == [10, 20, 40, 60, 60, 60]
    with refuses("Retry index n must be >= 0, got -1"):
        backoff.compute_delay(-1)


@given(st.integers(0, 10**6), st.floats(1, 10), st.integers(0, 10**6))
def test_a_delay_is_never_longer_than_the_cap(base: int, factor: float, n: int) -> None:
    backoff = Backoff(timedelta(milliseconds=base), factor, cap=timedelta(seconds=60))
    assert timedelta(0) <= backoff.compute_delay(n) <= timedelta(seconds=60)


@pytest.mark.parametrize("count", [-1, 1.5, "3"])
def test_retries_are_counted(count: Any) -> None:
    with refuses("RetryStrategy.count must be"):
        RetryStrategy(count)


@pytest.mark.parametrize(
    ("request_", "seconds"), [(None, None), (0, None), (5, 5), (timedelta(minutes=1), 60), (Timeout(max_runtime=3), 3)]
)
def test_a_bare_timeout_bounds_the_run_time(request_: Any, seconds: float | None) -> None:
    assert timeout_from_request(request_).max_runtime_seconds == seconds


def test_the_other_bounds_are_of_a_timeout_of_its_own() -> None:
    timeout = Timeout(max_queued_time=2, deadline=timedelta(hours=1))
    assert (timeout.max_runtime_seconds, timeout.max_queued_time_seconds, timeout.deadline_seconds) == (None, 2, 3600)
    with refuses("Timeout must be an instance of Timeout, int, or timedelta"):
        timeout_from_request("5")  # type: ignore[arg-type]


# ---------------------------------------------------------------- reuse and secrets


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"replicas": None}, "replicas cannot be None"),
        ({"replicas": "3"}, "replicas must be an int or a tuple of two ints"),
        ({"replicas": (1,)}, "replicas must be an int or a tuple of two ints"),
        ({"replicas": (1, "b")}, "replicas max must be an int, got 'b'"),
        ({"replicas": (-1, 2)}, "replicas min must be greater than or equal to 0, got -1"),
        ({"replicas": (3, 2)}, "replicas min (3) must be less than or equal to max (2)"),
        ({"concurrency": 0}, "concurrency must be at least 1, got 0"),
        ({"concurrency": "a"}, "concurrency must be an int, got 'a'"),
        ({"idle_ttl": 10}, "idle_ttl must be at least 30 seconds"),
        ({"idle_ttl": "a"}, "idle_ttl must be an int (seconds) or a timedelta"),
        ({"scaledown_ttl": 10}, "scaledown_ttl must be at least 30 seconds"),
        ({"scope": "x"}, 'scope must be "global" or "run"'),
    ],
)
def test_an_impossible_reuse_policy_is_refused(settings: dict[str, Any], message: str) -> None:
    with refuses(message):
        ReusePolicy(**settings)


def test_a_reuse_policy_has_a_range_of_replicas() -> None:
    assert ReusePolicy(3).replicas == (3, 3)
    policy = ReusePolicy((1, 4), idle_ttl=60)
    assert (policy.min_replicas, policy.max_replicas, policy.idle_ttl) == (1, 4, timedelta(minutes=1))
    assert policy.get_scaledown_ttl() == timedelta(seconds=30)


def test_a_single_replica_that_may_starve_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    ReusePolicy(1)
    assert "starves" in caplog.text


@pytest.mark.parametrize(
    ("secret", "variable"),
    [
        (Secret("my-key"), "MY_KEY"),
        (Secret("my-key", group="g-h"), "G_H_MY_KEY"),
        (Secret("k", as_env_var="OTHER"), "OTHER"),
    ],
)
def test_a_secret_has_an_environment_variable(secret: Secret, variable: str) -> None:
    assert secret.as_env_var == variable


def test_names_and_folders_of_secrets_are_checked() -> None:
    with refuses("Invalid environment variable name: lower"):
        Secret("k", as_env_var="lower")
    with refuses("Only /etc/flyte/secrets is supported"):
        Secret("k", mount="/x")  # type: ignore[arg-type]


def test_equal_secrets_have_equal_hashes_everywhere() -> None:
    assert Secret("a").stable_hash() == hashlib.sha256(b"a|||A").hexdigest()
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_secrets_may_be_asked_for_in_many_ways() -> None:
    assert secrets_from_request(None) == []
    assert secrets_from_request("a") == secrets_from_request(Secret("a")) == [Secret("a")]
    assert secrets_from_request(["a", Secret("b")]) == [Secret("a"), Secret("b")]


# ---------------------------------------------------------------- caches


@pytest.mark.parametrize("alias", ["enable", "on", "TRUE", "yes", "Enabled", "auto"])
def test_users_words_for_auto(alias: Any) -> None:
    assert Cache(alias).behavior == "auto"


@pytest.mark.parametrize("alias", ["off", "False", "no", "none", "disable"])
def test_users_words_for_disable(alias: Any) -> None:
    assert not Cache(alias).is_enabled()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"behavior": "bogus"}, ValueError, "Invalid cache behavior: 'bogus'. Must be one of"),
        ({"behavior": 3}, ValueError, "Invalid cache behavior: 3"),
        ({"behavior": "auto", "max_age": True}, TypeError, "max_age must be an int (seconds), timedelta, or None"),
        ({"behavior": "auto", "max_age": -1}, ValueError, "max_age must be nonnegative"),
        ({"behavior": "auto", "policies": []}, ValueError, "at least one cache policy needs to be set"),
    ],
)
def test_an_impossible_cache_is_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with refuses(message, error):
        Cache(**settings)


class Fixed:
    def get_version(self, salt: str, params: VersionParameters) -> str:
        return "fixed" + salt


class Broken:
    def get_version(self, salt: str, params: VersionParameters) -> str:
        raise OSError("no git")


def test_the_version_is_the_digest_of_what_the_policies_say() -> None:
    params = VersionParameters(func=None)
    cache = Cache("auto", policies=[Fixed(), Fixed()], salt="s")
    assert cache.get_version(params) == hashlib.sha256(b"fixedsfixeds").hexdigest()
    assert isinstance(Fixed(), CachePolicy)
    assert Cache("auto", policies=Fixed()).get_version(params) == hashlib.sha256(b"fixed").hexdigest()


def test_a_version_given_wins_and_a_disabled_cache_has_none() -> None:
    assert Cache("override", version_override="v1").get_version() == "v1"
    assert Cache("disable").get_version() == ""
    bundle = CodeBundle(computed_version="digest", pkl="x")
    assert Cache("auto").get_version(VersionParameters(None, code_bundle=bundle)) == "digest"


def test_a_version_that_cannot_be_told_is_an_error() -> None:
    with refuses("Version parameters must be provided"):
        Cache("auto").get_version()
    with refuses("Failed to generate version for cache policy") as raised:
        Cache("auto", policies=[Broken()]).get_version(VersionParameters(None))
    assert isinstance(raised.value.__cause__, OSError)


def test_the_default_policy_sees_the_code_but_not_the_comments() -> None:
    def one() -> int:
        return 1  # with a comment

    uncommented = "def one() -> int:\n    return 1\n"
    policy = FunctionBodyPolicy()
    version = policy.get_version("", VersionParameters(one))
    namespace: dict[str, Any] = {}
    import linecache

    linecache.cache["<uncommented>"] = (len(uncommented), None, uncommented.splitlines(True), "<uncommented>")
    exec(compile(uncommented, "<uncommented>", "exec"), namespace)
    assert policy.get_version("", VersionParameters(namespace["one"])) == version
    assert policy.get_version("salt", VersionParameters(one)) != version


def test_ignored_inputs_may_be_one_or_many() -> None:
    assert Cache("auto", ignored_inputs="a").get_ignored_inputs() == ("a",)
    assert Cache("auto", ignored_inputs=("a", "b")).get_ignored_inputs() == ("a", "b")
    assert cache_from_request("auto").max_age is None
    assert Cache("auto", max_age=60).max_age == timedelta(minutes=1)


# ---------------------------------------------------------------- resources


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cpu": -1}, "cpu must be greater than or equal to 0"),
        ({"cpu": (-1, 1)}, "cpu must be greater than or equal to 0"),
        ({"cpu": [1]}, "cpu must be a core count or a Kubernetes quantity string"),
        ({"cpu": (None, 1)}, "cpu pair elements must both be set, got None"),
        ({"cpu": (1, 2, 3)}, "cpu tuple must have exactly two elements"),
        ({"memory": 1024}, "memory must be a Kubernetes quantity string such as '1Gi', '512Mi' or '2G', got int: 1024"),
        ({"memory": ("1Gi", None)}, "memory pair elements must both be set, got None"),
        ({"memory": ("1Gi",)}, "memory tuple must have exactly two elements"),
        ({"disk": 3}, "disk must be a Kubernetes quantity string"),
        ({"shm": 3}, "shm must be a Kubernetes quantity string"),
        ({"gpu": -1}, "gpu must be greater than or equal to 0"),
        ({"gpu": "A100:9"}, "gpu must be one of"),
        ({"gpu": "V5P:1"}, "gpu must be one of"),
        ({"gpu": ("A100", 1)}, "gpu must be an accelerator string such as 'A100:4', a device count"),
    ],
)
def test_impossible_resources_are_refused(settings: dict[str, Any], message: str) -> None:
    with refuses(message):
        Resources(**settings)


@pytest.mark.parametrize(
    ("gpu", "device"),
    [
        (None, None),
        (0, None),
        (2, Device(2, "GPU")),
        ("A100:4", Device(4, "GPU", "A100")),
        ("T4 shared:1", Device(1, "GPU", "T4 shared")),
        ("Trn1:16", Device(16, "NEURON", "Trn1")),
        ("AppleSilicon", APPLE_SILICON()),
        (TPU("V5P", "2x2x1"), Device(1, "TPU", "V5P", "2x2x1")),
    ],
)
def test_an_accelerator_may_be_asked_for_in_many_ways(gpu: Any, device: Device | None) -> None:
    assert Resources(gpu=gpu).get_device() == device


def test_a_renamed_gpu_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert Resources(gpu="A100 80G:1").gpu == "A100_80G:1"
    assert GPU("RTX PRO 6000", 1).device == "RTX_PRO_6000"
    assert "GPU type 'A100 80G' is deprecated, use 'A100_80G' instead." in caplog.text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GPU("A100", 1, "9g"), "Invalid partition for A100: 9g"),
        (lambda: GPU("Z", 1), "Invalid GPU type: Z"),
        (lambda: GPU("T4", 0), "GPU quantity must be at least 1"),
        (lambda: GPU("T4 shared", 1, "1g.5gb"), "A shared GPU takes no partition"),
        (lambda: TPU("V5P", "1x1"), "Invalid partition for V5P"),
        (lambda: TPU("V"), "Invalid TPU type: V"),
        (lambda: Neuron("x"), "Invalid Neuron type: x"),
        (lambda: AMD_GPU("x"), "Invalid AMD GPU type: x"),
        (lambda: HABANA_GAUDI("x"), "Invalid Habana Gaudi type: x"),
        (lambda: Device(0, "GPU"), "GPU quantity must be at least 1"),
        (lambda: Device(2, "APPLE_SILICON", "AppleSilicon"), "quantity must be 1"),
        (lambda: Device(1, "GPU", "AppleSilicon"), "The Apple Silicon device is"),
    ],
)
def test_devices_that_do_not_exist_are_refused(make: Any, message: str) -> None:
    with refuses(message):
        make()


def test_shared_memory_may_be_all_there_is() -> None:
    assert [Resources(shm=shm).get_shared_memory() for shm in (None, "auto", "1Gi")] == [None, "", "1Gi"]


@pytest.mark.parametrize(("cpu", "cores"), [(1, 1.0), (0.5, 0.5), ("500m", 0.5), ("2", 2.0)])
def test_cpu_is_a_number_of_cores(cpu: Any, cores: float) -> None:
    assert parse_cpu(cpu) == cores


@pytest.mark.parametrize(
    ("memory", "size"), [("1Gi", 2**30), ("512Mi", 2**29), ("1G", 10**9), ("1.5k", 1500), ("128", 128), ("1Ti", 2**40)]
)
def test_memory_is_a_number_of_bytes(memory: str, size: int) -> None:
    assert parse_memory_bytes(memory) == size


@pytest.mark.parametrize("memory", ["", "Gi", "1 Gi", "1GB", "-1Gi", "1e"])
def test_what_is_no_quantity_is_refused(memory: str) -> None:
    with refuses(f"memory must be a Kubernetes quantity such as '1Gi', '512Mi', '2G' or '500m', got {memory!r}"):
        parse_memory_bytes(memory)


@given(st.integers(0, 10**6), st.sampled_from(["", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]))
def test_a_quantity_grows_with_its_number_and_its_unit(number: int, unit: str) -> None:
    assert parse_memory_bytes(f"{number}{unit}") % max(number, 1) == 0
    assert parse_memory_bytes(f"{number}{unit}") >= number


# ---------------------------------------------------------------- pods and descriptions


class Container:
    def __init__(self, name: str) -> None:
        self.name = name


class Spec:
    def __init__(self, *names: str) -> None:
        self.containers = [Container(name) for name in names]


@pytest.mark.parametrize(
    ("names", "asked", "primary"), [(("a", "primary"), None, "primary"), (("a",), None, "a"), (("a", "b"), "b", "b")]
)
def test_a_pod_has_a_primary_container(names: tuple[str, ...], asked: str | None, primary: str) -> None:
    spec = Spec(*names)
    template = PodTemplate.from_spec(spec, primary_container_name=asked, labels={"k": "v"})
    assert (template.primary_container_name, template.labels) == (primary, {"k": "v"})
    assert template.pod_spec is not spec


def test_a_primary_container_that_cannot_be_told_is_an_error() -> None:
    with refuses("Cannot determine the primary container"):
        PodTemplate.from_spec(Spec("a", "b"))
    with refuses("primary_container_name 'c' not found in pod spec"):
        PodTemplate.from_spec(Spec("a"), primary_container_name="c")


def test_what_a_pod_grants_is_kept_on_a_copy() -> None:
    plain = PodTemplate(annotations={"k": "v"})
    granted = plain.allow_fuse().allow_nested_sandboxing().with_termination_grace_period(timedelta(minutes=1))
    assert granted.capabilities == {"fuse": "true", "nested-sandboxing": "true"}
    assert granted.annotations is not None
    assert granted.annotations["flyte.org/capability-fuse"] == "true"
    assert granted.termination_grace_period_seconds == 60
    assert plain == PodTemplate(annotations={"k": "v"})


@pytest.mark.parametrize(("period", "error"), [(True, TypeError), ("5", TypeError), (-1, ValueError)])
def test_a_grace_period_is_a_time(period: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="termination_grace_period must be"):
        PodTemplate().with_termination_grace_period(period)


def test_a_description_may_come_from_the_docstring() -> None:
    assert extract_docstring(refuses).description == ""
    assert extract_docstring(None).description == ""
    assert extract_docstring(Cache.is_enabled).description == "True unless the behaviour is `disable`."
