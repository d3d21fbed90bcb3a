"""What goes out over HTTP on a run's behalf: off the engine's loop, and its failure is a warning.

post           a request with a JSON body, bounded in time
in_background  has something sent by a thread; a process that ends waits for it, but not long
fill           placeholders in the texts of a JSON value
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["fill", "in_background", "post"]

TIMEOUT_SECONDS = 10.0
EXIT_SECONDS = 3.0
"""How long the end of the process waits for what is on its way."""

logger = logging.getLogger("flyte")
_under_way: set[threading.Thread] = set()


def post(method: str, url: str, body: Any, headers: Mapping[str, str] | None = None) -> None:
    """Sends a request; its answer must say that it was taken.

    Args:
        method: GET, POST ...
        url: of http or https.
        body: sent as JSON; None sends none.
        headers: beside the content type.

    Raises:
        ValueError: the address is not one of http or https, or the body is no JSON.
        OSError: it was not taken, with the reason.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url!r} is no address of http or https")
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
        return


def in_background(what: str, send: Callable[[], None]) -> None:
    """Sends something and returns at once. Its failure is a warning, with the reason and without the address, which may
    be a secret.

    Args:
        what: is sent, for the warning.
        send: sends it.
    """
    thread = threading.Thread(target=_send, args=(what, send), name="flyte-post", daemon=True)
    _under_way.add(thread)
    try:
        thread.start()
    except RuntimeError:  # the interpreter ends: no thread starts any more
        _under_way.discard(thread)
        _send(what, send)


def fill(value: Any, places: Mapping[str, str]) -> Any:
    """A JSON value with its placeholders filled, in texts and in texts inside lists and objects.

    Args:
        value: what to fill.
        places: what stands for each placeholder.
    """
    if isinstance(value, str):
        return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], value)
    if isinstance(value, Mapping):
        return {key: fill(item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, places) for item in value]
    return value


def _send(what: str, send: Callable[[], None]) -> None:
    try:
        send()
    except Exception as error:  # of the network, or of what the user wrote: the run does not depend on it
        logger.warning("%s was not delivered: %s", what, _reason(error))
    finally:
        _under_way.discard(threading.current_thread())


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return f"{type(error).__name__}: {error}"


def _wait_at_exit() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for thread in list(_under_way):
        thread.join(max(0.0, deadline - time.monotonic()))


atexit.register(_wait_at_exit)
