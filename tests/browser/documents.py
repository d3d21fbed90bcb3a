"""Run documents as docs/explorer.md defines them, for the tests of the front end alone."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

Document = dict[str, Any]
PHASES = (
    "queued",
    "waiting_for_resources",
    "initializing",
    "running",
    "paused",
    "succeeded",
    "failed",
    "aborted",
    "timed_out",
    "recovered",
)
COLUMNS: dict[str, Any] = {
    "name": "",
    "parent": 0,
    "task": 0,
    "kind": 0,
    "group": -1,
    "phase": "succeeded",
    "queued": 0.0,
    "init": None,
    "start": None,
    "end": None,
    "attempt": 1,
    "label": "",
    "error": None,
    "source": "",
    "note": "",
    "tries": None,
}
STARTED_AT_MS = 1790000000000


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns; what a row leaves out has its default, and phases are given by name."""
    table = {name: [row.get(name, default) for row in rows] for name, default in COLUMNS.items()}
    table["phase"] = [PHASES.index(phase) for phase in table["phase"]]
    return table


def document(rows: list[dict[str, Any]], tasks: list[str], **head: Any) -> Document:
    """A run document over these rows; `head` replaces what it would say by itself."""
    phases = [row.get("phase", "succeeded") for row in rows]
    return {
        "version": 1,
        "run": "r7k2m9",
        "task": tasks[0],
        "environment": tasks[0].partition(".")[0],
        "phase": phases[0],
        "started_at": STARTED_AT_MS,
        "duration_ms": max((row.get("end") or 0.0) for row in rows),
        "live": False,
        "labels": {},
        "notebook": "quickstart.ipynb",
        "parent_run": "",
        "lineage": "",
        "note": "",
        "error": None,
        "counts": {phase: phases.count(phase) for phase in PHASES if phase in phases},
        "total": len(rows),
        "omitted": 0,
        "tasks": tasks,
        "groups": [],
        "actions": columns(rows),
        "details": {},
        **head,
    }


def detail(action: str, task: str, **parts: Any) -> dict[str, Any]:
    return {
        "action": action,
        "task": task,
        "phase": "succeeded",
        "where": "kernel",
        "isolation": "kernel",
        "isolation_reason": "nothing asks for a process",
        "attempts": [],
        "source": "",
        "note": "",
        "inputs": [],
        "outputs": None,
        "error": None,
        "logs": [],
        "logs_omitted": 0,
        "report": None,
        "links": [],
        "code": None,
        "snippet": f'flyte_nb.remote.Run.get("r7k2m9")["{action}"].outputs()',
        **parts,
    }


def value(name: str, type_: str, **preview: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "preview": preview, "digest": "b3f1"}


def scalar(name: str, type_: str, text: str) -> dict[str, Any]:
    return value(name, type_, kind="scalar", text=text)


def png(width: int = 240, height: int = 120) -> str:
    """A picture of two gradients as base64 PNG."""
    lines = b"".join(
        b"\x00" + b"".join(bytes((40 + 180 * x // width, 90, 255 - 200 * y // height)) for x in range(width))
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return base64.b64encode(image).decode()


SOURCE = '''@env.task(retries=2)
async def fit(frame: pd.DataFrame, depth: int = 3) -> Model:
    """One model for one depth."""
    if depth > 8:  # the data has 120 rows
        raise ValueError(f"depth {depth}: more leaves than rows")
    return Model(depth=depth, score=await score(frame, depth))
'''
TRACEBACK = (
    "Traceback (most recent call last):\n"
    "  \x1b[36mcell 3, line 5\x1b[0m, in \x1b[32mfit\x1b[0m\n"
    '    raise ValueError(f"depth {depth}: more leaves than rows")\n'
    "\x1b[1;31mValueError\x1b[0m: depth 9: more leaves than rows"
)
FRAME = {
    "kind": "frame",
    "text": "DataFrame 120 x 4",
    "columns": [
        ["sepal length", "float64"],
        ["sepal width", "float64"],
        ["petal length", "float64"],
        ["species", "object"],
    ],
    "rows": [["5.1", "3.5", "1.4", "setosa"], ["4.9", "3.0", "1.4", "setosa"], ["7.0", "3.2", "4.7", "versicolor"]],
    "shape": [120, 4],
}
LOGS = [
    [STARTED_AT_MS + 420, "stdout", "fitting depth 9 on 120 rows"],
    [STARTED_AT_MS + 500, "stderr", "\x1b[33mUserWarning\x1b[0m: the tree is deeper than the data"],
    [STARTED_AT_MS + 640, "stdout", "\x1b[32mepoch 1\x1b[0m loss \x1b[1m0.412\x1b[0m"],
    [STARTED_AT_MS + 820, "stdout", "\x1b[32mepoch 2\x1b[0m loss \x1b[1m0.377\x1b[0m \x1b[38;5;208mslow\x1b[0m"],
]


def failed_run() -> Document:
    """Ten actions: fits of which one failed after three attempts and one came from the cache, traces, a report."""
    rows: list[dict[str, Any]] = [
        {
            "name": "a0",
            "parent": -1,
            "phase": "failed",
            "start": 3.0,
            "end": 4180.0,
            "error": "ValueError: depth 9: more leaves than rows",
        },
        {"name": "a1split", "task": 1, "queued": 12, "start": 14, "end": 380, "label": "test_size=0.2"},
    ]
    for k, depth in enumerate([2, 3, 4, 6, 9]):
        start = 400.0 + 60 * k
        row = {
            "name": f"a{k + 2}fit",
            "task": 2,
            "queued": 395.0,
            "start": start,
            "end": start + 700 + 330 * k,
            "label": f"depth={depth}",
        }
        rows.append(row)
    rows[2].update(source="cache", end=404.0)
    tries = [[640.0, 1300.0], [1400.0, 1900.0]]
    error = "ValueError: depth 9: more leaves than rows"
    rows[6].update(phase="failed", attempt=3, error=error, tries=tries, start=2000.0, end=2660.0)
    rows.append(
        {"name": "t1", "parent": 3, "task": 3, "kind": 1, "queued": 470, "start": 471, "end": 900, "label": "fold=0"}
    )
    rows.append(
        {"name": "t2", "parent": 3, "task": 3, "kind": 1, "queued": 900, "start": 901, "end": 1400, "label": "fold=1"}
    )
    rows.append(
        {"name": "a9report", "task": 4, "queued": 3000, "start": 3004, "end": 4100, "label": "scores={2: 0.91, …}"}
    )
    tasks = ["iris.main", "iris.split", "iris.fit", "iris.score", "iris.summarise"]
    inputs = [value("frame", "DataFrame", **FRAME), scalar("depth", "int", "9")]
    failure = {
        "code": "ValueError",
        "kind": "user",
        "message": "depth 9: more leaves than rows",
        "place": "cell 3, line 5",
        "traceback": TRACEBACK,
    }
    attempts = [
        {
            "attempt": 1,
            "phase": "failed",
            "start": 640.0,
            "end": 1300.0,
            "error": "ConnectionError: the feature store hung up",
        },
        {
            "attempt": 2,
            "phase": "failed",
            "start": 1400.0,
            "end": 1900.0,
            "error": "ValueError: depth 9: more leaves than rows",
        },
        {
            "attempt": 3,
            "phase": "failed",
            "start": 2000.0,
            "end": 2660.0,
            "error": "ValueError: depth 9: more leaves than rows",
        },
    ]
    code = {
        "source": SOURCE,
        "signature": "fit(frame: DataFrame, depth: int) -> Model",
        "place": "cell 3, line 1",
        "settings": {"retries": "2", "cache": "auto"},
        "digest": "b3:5e1f9c",
    }
    model = {
        "kind": "model",
        "text": "Model(depth=3, score=0.94, weights=[0.1, 0.7, …])",
        "children": [
            ["depth", {"kind": "scalar", "text": "3"}],
            ["score", {"kind": "scalar", "text": "0.94"}],
            [
                "weights",
                {
                    "kind": "tree",
                    "text": "list of 2",
                    "length": 7,
                    "children": [["0", {"kind": "scalar", "text": "0.1"}], ["1", {"kind": "scalar", "text": "0.7"}]],
                },
            ],
        ],
    }
    details = [
        detail(
            "a0",
            "iris.main",
            phase="failed",
            inputs=[scalar("depths", "list[int]", "[2, 3, 4, 6, 9]")],
            error=failure,
            code=code,
        ),
        detail(
            "a1split",
            "iris.split",
            outputs=[
                value("o0", "DataFrame", **FRAME),
                value(
                    "o1",
                    "ndarray",
                    kind="array",
                    text="ndarray 120",
                    shape=[120],
                    dtype="float64",
                    head="[5.1 4.9 4.7 4.6 5.0 …]",
                ),
            ],
        ),
        detail(
            "a6fit",
            "iris.fit",
            phase="failed",
            inputs=inputs,
            error=failure,
            logs=LOGS,
            attempts=attempts,
            code=code,
            links=[["dashboard", "https://boards.example/r7k2m9/a6fit"], ["shell", "javascript:alert(1)"]],
        ),
        detail(
            "a3fit",
            "iris.fit",
            inputs=[inputs[0], scalar("depth", "int", "3")],
            outputs=[value("o0", "Model", **model)],
            code=code,
        ),
        detail(
            "a9report",
            "iris.summarise",
            outputs=[
                value("o0", "Figure", kind="image", text="Figure 240 x 120", png=png(), shape=[240, 120]),
                value("o1", "File", kind="file", text="scores.csv", path="/data/scores.csv", size_bytes=48_213),
                value(
                    "o2",
                    "str",
                    kind="text",
                    text="Depth 3 scores best.",
                    full="\n".join(["Depth 3 scores best.", *(f"Depth {k} was tried." for k in range(40))]),
                ),
            ],
            report="<h1 style='font-family:sans-serif'>Scores</h1><p>Depth 3 scores <b>0.94</b>.</p>",
        ),
    ]
    return document(
        rows,
        tasks,
        labels={"owner": "ada"},
        error={**{k: failure[k] for k in ("code", "kind", "message", "place")}, "action": "a6fit"},
        flows=[
            ["a1split", "o0", "a2fit", "frame", 5],
            ["a1split", "o1", "a2fit", "order", 5],
            ["a2fit", "o0", "a9report", "scores", 4],
        ],
        details={d["action"]: d for d in details},
    )


def large_run(n: int = 10_000) -> Document:
    """One fan-out of n actions, of which a hundredth failed and the last few still ran when it was saved."""
    rows: list[dict[str, Any]] = [{"name": "a0", "parent": -1, "phase": "running", "start": 1.0}]
    for k in range(n - 1):
        start = 5.0 + k * 0.8
        row = {
            "name": f"s{k}",
            "task": 1,
            "queued": 4.0,
            "start": start,
            "end": start + 40 + 30 * (k % 17),
            "label": f"x={k}",
        }
        if k % 100 == 57:
            row.update(phase="failed", error=f"ValueError: unlucky {k}")
        if k >= n - 6:
            row.update(phase="running", end=None)
        rows.append(row)
    return document(rows, ["squares.main", "squares.square"], phase="running", live=True, duration_ms=n * 0.8 + 300)


def running_run() -> Document:
    """Three actions, the last of them running: what a delta then grows."""
    rows = [
        {"name": "a0", "parent": -1, "phase": "running", "start": 1.0},
        {"name": "a1", "task": 1, "queued": 2.0, "start": 3.0, "end": 500.0, "label": "x=1"},
        {"name": "a2", "task": 1, "queued": 2.0, "start": 510.0, "phase": "running", "label": "x=2"},
    ]
    return document(rows, ["squares.main", "squares.square"], run="rlive", live=True, duration_ms=1500.0)


def crowded_run() -> Document:
    """A run with more of everything than has room: a task name of 1,000 characters, 50 groups, 200 labels."""
    rows: list[dict[str, Any]] = [{"name": "a0", "parent": -1, "start": 0.5, "end": 600.0}]
    for k in range(50):
        end = {"end": 20.0 + 10 * k} if k % 7 else {"end": 20.0 + 10 * k, "phase": "failed", "error": "ValueError: odd"}
        rows += [
            {"name": f"g{k}-{i}", "task": 1, "group": k, "start": 10.0 * k, "label": f"x={i}", **end} for i in "ab"
        ]
    labels = {"note": "w" * 500, **{f"key-{k}": f"value {k}" for k in range(199)}}
    groups = [f"group {k}" for k in range(50)]
    tasks = ["crowd.main", f"crowd.{'long_name_' * 100}"]
    return document(rows, tasks, run="rcrowd", labels=labels, groups=groups)
