"""A run document in which every text that a task can influence is markup, steers terminals, runs backwards, is long."""

from __future__ import annotations

from tests.browser.documents import STARTED_AT_MS, Document, detail, document, value

MARKUP = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"
LONG = "@a megabyte@"
"""Stands for a text of a megabyte, which takes a minute to hand to a page: see `GROW`."""
GROW = """doc => views[0].update(JSON.parse(JSON.stringify(doc).replaceAll('@a megabyte@', 'x'.repeat(1e6))))"""
TEXTS = {
    "markup": MARKUP,
    "terminal": f"\x1b[31mred\x1b[2J\x1b]0;title\x07\x1b]8;;javascript:window.hacked=1\x07{MARKUP}\x9b1m\r\b\x00end",
    "backwards": f"\u202e{MARKUP}\u2066\u0645\u0631\u062d\u0628\u0627\u2069\u202bexe.txt",
    "tall": "Z" + "\u0310\u0348" * 200 + MARKUP,
    "lines": f"{MARKUP}\n" * 50,
    "long": LONG,
    "wide": "\U0001f469\u200d\U0001f680\ufdfd" * 2_000 + MARKUP,
}
"""Texts by what is wrong with them."""


def hostile_run(text: str = MARKUP) -> Document:
    """Every text that a task can influence holds this one: by default markup that would set `window.hacked`."""
    failure = dict.fromkeys(("code", "kind", "message", "place", "traceback"), text)
    rows = [
        {
            "name": "a0",
            "parent": -1,
            "phase": "failed",
            "start": 0.0,
            "end": 9.0,
            "label": text[:60],
            "error": text[:200],
            "source": text,
        },
        {
            "name": text,
            "task": 1,
            "group": 0,
            "start": 1.0,
            "end": 8.0,
            "label": text[:60],
            "error": text[:200],
            "phase": "failed",
        },
    ]
    # Previews, labels and errors of a line are as long as the kernel makes them; everything else is as long as it is.
    tree = {
        "kind": "tree",
        "text": text[:200],
        "children": [[text[:200], {"kind": "text", "text": text[:200], "full": (text * 2)[:4000]}]],
    }
    values = [
        value(text[:200], text[:200], kind="scalar", text=text[:200]),
        value("tree", "dict", **tree),
        value(
            "frame",
            "DataFrame",
            kind="frame",
            text=text[:200],
            columns=[[text[:200], text[:200]]],
            rows=[[text[:200]]],
            shape=[1, 1],
        ),
        value("image", "Figure", kind="image", text=text[:200], png='"><script>window.hacked=1</script>'),
        value("file", "File", kind="file", text=text[:200], path=text),
    ]
    hostile = detail(
        "a0",
        text,
        phase="failed",
        where=text,
        note=text,
        inputs=values,
        outputs=values,
        error=failure,
        logs=[
            [STARTED_AT_MS, "stdout", text],
            [STARTED_AT_MS, "display", '{"text/html": "<script>window.hacked=1</script>"}'],
        ],
        report=f"<script>parent.hacked=1;top.hacked=1</script>{text}",
        code={"source": text, "place": text, "settings": {text: text}, "digest": text},
        snippet=text,
    )
    return document(
        rows,
        [text, text],
        environment=text,
        note=text,
        groups=[text],
        labels={text: text},
        error={**dict.fromkeys(("code", "kind", "message", "place"), text), "action": "a0"},
        details={"a0": hostile, text: {**hostile, "action": text}},
    )
