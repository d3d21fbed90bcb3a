"""The links of a task, as they are recorded with it and shown at its actions.

An address is asked for once, when the task is first called in a run; the names of its actions stand in it as
placeholders, as in what Flyte sends to a backend.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from flyte_nb.authoring.link import Link

__all__ = ["addresses_of", "links_of_action"]

ACTION = "{{.actionName}}"
PARENT = "{{.parentActionName}}"
POD = "localhost"

logger = logging.getLogger("flyte")


def addresses_of(links: Sequence[Link], run: str) -> dict[str, str]:
    """The addresses by the names of the links; one whose `get_link` raises is left out with a warning.

    Args:
        links: those of a task.
        run: name of the run.
    """
    addresses = {}
    for link in links:
        try:
            address = link.get_link(
                run_name=run,
                project="",
                domain="",
                context={},
                parent_action_name=PARENT,
                action_name=ACTION,
                pod_name=POD,
            )
        except Exception as error:  # the user's own code; a link is no reason to end a run
            logger.warning("The link %s has no address: %s: %s", _name(link), type(error).__name__, error)
        else:
            addresses[_name(link)] = str(address)
    return addresses


def links_of_action(addresses: Mapping[str, str], action: str, parent: str) -> list[tuple[str, str]]:
    """(name, address) of every link of an action.

    Args:
        addresses: as `addresses_of` gave them.
        action: name of the action.
        parent: name of its parent action.
    """
    return [(name, text.replace(ACTION, action).replace(PARENT, parent)) for name, text in addresses.items()]


def _name(link: Link) -> str:
    return str(getattr(link, "name", "") or type(link).__name__)
