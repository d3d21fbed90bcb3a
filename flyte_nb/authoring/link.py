"""Links from an action to pages elsewhere: dashboards, log viewers."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Link"]


class Link(Protocol):
    """What an entry of `links=` must look like.

    Attributes:
        name: what the link is called.
        icon_uri: its icon.
    """

    name: str
    icon_uri: str | None = ""

    def get_link(
        self,
        run_name: str,
        project: str,
        domain: str,
        context: dict[str, str],
        parent_action_name: str,
        action_name: str,
        pod_name: str,
        **kwargs: Any,
    ) -> str:
        """The address for one action; called with keyword arguments."""
        raise NotImplementedError
