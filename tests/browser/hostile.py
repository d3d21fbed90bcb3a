"""A run document in which every text that a task can influence is markup."""

from __future__ import annotations

from tests.browser.documents import STARTED_AT_MS, Document, detail, document, value

HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"


def hostile_run() -> Document:
    """Every text that a task can influence holds markup that would set `window.hacked`."""
    failure = dict.fromkeys(("code", "kind", "message", "place", "traceback"), HOSTILE)
    rows = [
        {
            "name": "a0",
            "parent": -1,
            "phase": "failed",
            "start": 0.0,
            "end": 9.0,
            "label": HOSTILE,
            "error": HOSTILE,
            "source": HOSTILE,
        },
        {
            "name": HOSTILE,
            "task": 1,
            "group": 0,
            "start": 1.0,
            "end": 8.0,
            "label": HOSTILE,
            "error": HOSTILE,
            "phase": "failed",
        },
    ]
    tree = {
        "kind": "tree",
        "text": HOSTILE,
        "children": [[HOSTILE, {"kind": "text", "text": HOSTILE, "full": HOSTILE * 2}]],
    }
    values = [
        value(HOSTILE, HOSTILE, kind="scalar", text=HOSTILE),
        value("tree", "dict", **tree),
        value(
            "frame",
            "DataFrame",
            kind="frame",
            text=HOSTILE,
            columns=[[HOSTILE, HOSTILE]],
            rows=[[HOSTILE]],
            shape=[1, 1],
        ),
        value("image", "Figure", kind="image", text=HOSTILE, png='"><script>window.hacked=1</script>'),
        value("file", "File", kind="file", text=HOSTILE, path=HOSTILE),
    ]
    hostile = detail(
        "a0",
        HOSTILE,
        phase="failed",
        where=HOSTILE,
        note=HOSTILE,
        inputs=values,
        outputs=values,
        error=failure,
        logs=[
            [STARTED_AT_MS, "stdout", HOSTILE],
            [STARTED_AT_MS, "display", '{"text/html": "<script>window.hacked=1</script>"}'],
        ],
        report=f"<script>parent.hacked=1;top.hacked=1</script>{HOSTILE}",
        code={"source": HOSTILE, "place": HOSTILE, "settings": {HOSTILE: HOSTILE}, "digest": HOSTILE},
        snippet=HOSTILE,
    )
    return document(
        rows,
        [HOSTILE, HOSTILE],
        environment=HOSTILE,
        note=HOSTILE,
        groups=[HOSTILE],
        labels={HOSTILE: HOSTILE},
        error={**dict.fromkeys(("code", "kind", "message", "place"), HOSTILE), "action": "a0"},
        details={"a0": hostile, HOSTILE: {**hostile, "action": HOSTILE}},
    )
