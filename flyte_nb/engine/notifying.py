"""Sending what a run was asked to say when it ends (`flyte.notify`).

Slack, Teams and web hooks get the JSON that Flyte sends them, e-mail goes to the SMTP server that `FLYTE_NB_SMTP` names
(`host` or `host:port`; `localhost:25` by default). Rules and deliveries that a backend knows by name are not sent here.

Texts are filled in both of Flyte's ways: `{{.Run.Name}}`, as a backend does, and `{run.name}`, as its local mode does.
"""

from __future__ import annotations

import logging
import os
import smtplib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from typing import TYPE_CHECKING

from flyte_nb.engine.posting import fill, in_background, post
from flyte_nb.models import ActionPhase
from flyte_nb.notify import Email, NamedRule, Notification, Slack, Teams, Webhook

if TYPE_CHECKING:
    from flyte_nb.engine.state import RunState

__all__ = ["notify_of_end"]

SMTP = "FLYTE_NB_SMTP"
SMTP_SECONDS = 5.0
SENDER = "flyte@localhost"

logger = logging.getLogger("flyte")


def notify_of_end(run: RunState) -> None:
    """Sends what the run's notifications say of its end; returns at once, and what fails is a warning."""
    notifications = run.options.notifications
    if not notifications:
        return
    places = _places(run)
    for one in notifications:
        if isinstance(one, Notification) and ActionPhase(run.phase) not in one.on_phase:
            continue
        send = _sender(one, places)
        what = f"The {type(one).__name__} notification of run {run.name}"
        if send is None:
            logger.info("%s is sent by a backend only", what)
        else:
            in_background(what, send)


def _places(run: RunState) -> Mapping[str, str]:
    """What stands for each placeholder; the error without the values of secrets, as it is recorded."""
    recorded = run.options.recorded
    ended_ns = run.ended_ns if run.ended_ns is not None else run.started_ns
    facts = {
        "run.name": run.name,
        "run.phase": run.phase,
        "run.error": f"{run.error.code}: {run.error.message}" if run.error is not None else "",
        "run.duration": f"{(ended_ns - run.started_ns) / 1e9:.1f} s",
        "run.timestamp": datetime.fromtimestamp(ended_ns / 1e9, UTC).isoformat(timespec="seconds"),
        "run.url": "",
        "task.name": run.task,
        "project": str(recorded.get("project") or ""),
        "domain": str(recorded.get("domain") or ""),
    }
    names = {
        "Run.Name": "run.name",
        "Run.Project": "project",
        "Run.Domain": "domain",
        "Phase": "run.phase",
        "Error": "run.error",
    }
    return {
        **{f"{{{{.{name}}}}}": facts[fact] for name, fact in names.items()},
        **{f"{{{fact}}}": text for fact, text in facts.items()},
    }


def _sender(notification: Notification | NamedRule, places: Mapping[str, str]) -> Callable[[], None] | None:
    """What sends it; None where only a backend knows how."""
    match notification:
        case Slack(webhook_url=url, blocks=blocks, message=message):
            body = {"blocks": fill(blocks, places)} if blocks else {"text": fill(message or "", places)}
            return partial(post, "POST", url, body)
        case Teams(webhook_url=url, card=card, title=title, message=message):
            body = {"title": fill(title, places), "text": fill(message or "", places)}
            return partial(post, "POST", url, fill(card, places) if card else body)
        case Webhook(url=url, method=method, body=body, headers=headers):
            filled = fill(headers or {}, places)
            return partial(post, method, fill(url, places), fill(body, places) if body else None, filled)
        case Email():
            return partial(_send_email, notification, places)
        case _:
            return None


def _send_email(notification: Email, places: Mapping[str, str]) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = ", ".join(notification.recipients)
    message["Subject"] = " ".join(fill(notification.subject, places).split())  # a header is one line
    if notification.cc:
        message["Cc"] = ", ".join(notification.cc)
    message.set_content(fill(notification.body, places))
    if notification.html_body:
        message.add_alternative(fill(notification.html_body, places), subtype="html")
    host, _, port = os.environ.get(SMTP, "localhost").partition(":")
    everybody = [*notification.recipients, *notification.cc, *notification.bcc]
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=SMTP_SECONDS) as server:
            server.send_message(message, to_addrs=everybody)
    except OSError as error:
        raise OSError(f"the SMTP server {host}:{port or 25} did not take it ({error}); {SMTP} names another") from error
