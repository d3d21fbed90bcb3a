"""Telling a webhook that a condition waits, and where its answer is taken."""

from __future__ import annotations

from flyte_nb.authoring.condition import ConditionWebhook
from flyte_nb.engine.posting import fill, in_background, post
from flyte_nb.store.callbacks import callback_address
from flyte_nb.store.home import Home

__all__ = ["tell_webhook"]

CALLBACK_SECONDS = 7 * 86_400.0
"""How long an answer may be posted to a condition that waits for ever."""


def tell_webhook(
    webhook: ConditionWebhook, condition: str, run: str, action: str, timeout_seconds: float | None, home: Home
) -> None:
    """Posts the payload of a webhook, and returns at once; that it was not delivered is a warning.

    Args:
        webhook: who is told.
        condition: its name.
        run: name of the run.
        action: name of the condition's action.
        timeout_seconds: how long it waits, None for ever.
        home: the store; `{callback_uri}` is an address of the server that serves it, where one does.
    """

    def tell() -> None:
        address = callback_address(home, run, action, timeout_seconds or CALLBACK_SECONDS)
        place = {"{callback_uri}": address or f"local://runs/{run}/conditions/{condition}/signal"}
        post("POST", webhook.url, fill(webhook.payload, place))

    in_background(f"The webhook of condition '{condition}' of run {run}", tell)
