"""Who hears how a run ended: e-mail, Slack, Teams, or any web hook.

A notification names the phases it is for, of SUCCEEDED, FAILED, ABORTED and TIMED_OUT. In its texts `{{.Run.Name}}`,
`{{.Run.Project}}`, `{{.Run.Domain}}`, `{{.Phase}}` and `{{.Error}}` stand for what is known then, and so
do `{run.name}`, `{run.phase}`, `{run.error}`, `{run.duration}`, `{run.timestamp}`, `{task.name}`, `{project}` and
`{domain}`.

They are sent when the run ends, wherever it ran. What cannot be delivered is a warning in the log, never the run's
failure. `NamedRule` and `NamedDelivery` mean what a Flyte backend knows: they are kept with the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from flyte_nb.models import ActionPhase

__all__ = ["Email", "NamedDelivery", "NamedRule", "Notification", "Slack", "Teams", "Webhook"]

FINAL_PHASES = (ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.ABORTED, ActionPhase.TIMED_OUT)

SUMMARY = """Run: {{.Run.Name}}
Project/Domain: {{.Run.Project}}/{{.Run.Domain}}
Phase: {{.Phase}}
Error: {{.Error}}
"""


@dataclass(frozen=True)
class NamedRule:
    """A rule that the backend knows by name."""

    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("Rule name must not be empty")


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What all notifications have in common.

    Args:
        on_phase: the phase or phases it is for.

    Raises:
        ValueError: for no phase, or one that no run ends in.
    """

    on_phase: ActionPhase | tuple[ActionPhase, ...]

    def __post_init__(self) -> None:
        phases = (self.on_phase,) if isinstance(self.on_phase, str) else tuple(self.on_phase)
        if not phases:
            raise ValueError("At least one phase must be specified")
        for phase in phases:
            if phase not in FINAL_PHASES:
                raise ValueError(f"Notification on phase {phase} is not supported.")
        object.__setattr__(self, "on_phase", phases)

    def _make_tuples(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)


@dataclass(frozen=True, kw_only=True)
class NamedDelivery(Notification):
    """A delivery that the backend knows by name."""

    name: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name:
            raise ValueError("Delivery config name must not be empty")


@dataclass(frozen=True, kw_only=True)
class Email(Notification):
    """An e-mail.

    Raises:
        ValueError: without recipients.
    """

    recipients: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    subject: str = "Run {{.Run.Name}} {{.Phase}}"
    body: str = SUMMARY
    html_body: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._make_tuples("recipients", "cc", "bcc")
        if not self.recipients:
            raise ValueError("At least one recipient must be specified")


@dataclass(frozen=True, kw_only=True)
class Slack(Notification):
    """A message to a Slack web hook: text, or blocks of Slack's Block Kit.

    Raises:
        ValueError: without a web hook.
    """

    webhook_url: str
    message: str | None = None
    blocks: tuple[dict[str, Any], ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.webhook_url:
            raise ValueError("webhook_url is required")
        self._make_tuples("blocks")
        if self.message is None and self.blocks is None:
            message = "Run: {{.Run.Name}} finished with phase {{.Phase}}\n | {{.Run.Project}}/{{.Run.Domain}}\n"
            object.__setattr__(self, "message", message)


@dataclass(frozen=True, kw_only=True)
class Teams(Notification):
    """A message to a Microsoft Teams web hook: text, or an Adaptive Card.

    Raises:
        ValueError: without a web hook.
    """

    webhook_url: str
    title: str = "Run {{.Run.Name}} {{.Phase}}"
    message: str | None = None
    card: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.webhook_url:
            raise ValueError("webhook_url is required")
        if self.message is None and self.card is None:
            object.__setattr__(self, "message", SUMMARY)


@dataclass(frozen=True, kw_only=True)
class Webhook(Notification):
    """A request to any address, with a JSON body.

    Raises:
        ValueError: without an address.
    """

    url: str
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"] = "POST"
    headers: dict[str, str] | None = None
    body: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.url:
            raise ValueError("url is required")
        if self.body is None:
            body = {
                "run": "{{.Run.Name}}",
                "project": "{{.Run.Project}}",
                "domain": "{{.Run.Domain}}",
                "phase": "{{.Phase}}",
                "error": "{{.Error}}",
            }
            object.__setattr__(self, "body", body)
