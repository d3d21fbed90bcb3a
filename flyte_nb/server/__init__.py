"""What runs in a server: the part of flyte_nb in the Jupyter server, which the same wheel enables."""

from __future__ import annotations

__all__: list[str] = []


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Where the Jupyter server finds the extension `flyte_nb.server`."""
    return [{"module": "flyte_nb.server.jupyter"}]
