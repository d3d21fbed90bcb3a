from __future__ import annotations

import json
from typing import Any

MIME = "application/vnd.flyte.run+json"
TASKS = """
@env.task(report=True)
async def tell(word: str) -> str:
    print("printed", word)
    flyte.report.replace(f"<p>{word}</p>")
    await flyte.report.flush.aio()
    display({"text/plain": word}, raw=True)
    return word.upper()

@env.task
async def many(n: int) -> int:
    for x in range(n):
        if x != 2:
            await fit(x)
    return n
"""


def size(bundle: dict[str, Any]) -> int:
    """Bytes in a notebook file."""
    return len(json.dumps(bundle, ensure_ascii=False).encode())


def saved_texts(outputs: Any) -> str:
    """All bundles of runs that a notebook would save of a cell."""
    return json.dumps([content["data"] for content in outputs.displays + outputs.renewals if MIME in content["data"]])


def test_what_is_saved_of_a_run_is_bounded_and_says_what_it_leaves_out(kernel) -> None:
    kernel.ok(TASKS)
    bundle = kernel.ok("r = flyte.run(many, n=1000)").shown
    assert 50_000 < size(bundle) <= 100_000
    document = bundle[MIME]
    assert document["total"] == 1000 and 0 < document["omitted"] == 1000 - len(document["actions"]["name"])
    assert "more actions, not shown here" in bundle["text/html"]
    assert f"%flyte show {document['run']}" in bundle["text/html"]

    assert "saved_kb = 20:" in kernel.ok("%flyte config saved_kb=20").stdout
    assert size(kernel.ok("flyte.run(many, n=1000).phase").shown) <= 20_000
    assert size(kernel.ok("for _ in range(12): flyte.run(many, n=40)").shown) <= 21_000
    kernel.ok("%flyte config saved_kb=1000")
    assert kernel.ok("flyte.run(many, n=1000).phase").shown[MIME]["omitted"] == 0
    kernel.ok("%flyte config saved_kb=100")


def test_data_is_kept_out_of_saved_notebooks_on_request_and_shown_by_the_kernel_all_the_same(kernel) -> None:
    kernel.ok(TASKS)
    assert "b1ackbird" in saved_texts(kernel.ok("flyte.run(tell, word='b1ackbird').phase"))
    assert "save_previews = no" in kernel.ok("%flyte config save_previews=no").stdout
    outputs = kernel.ok("r = flyte.run(tell, word='b1ackbird')")
    kept = saved_texts(outputs)
    assert "b1ackbird" not in kept and "B1ACKBIRD" not in kept
    document = outputs.shown[MIME]
    assert document["previews"] is False and document["phase"] == "succeeded"
    assert document["details"]["a0"]["inputs"][0]["preview"]["text"] == "not saved (save_previews=no)"
    shown = kernel.ok("flyte.run(tell, word='b1ackbird')\nfor _ in range(2): flyte.run(tell, word='b1ackbird')")
    assert "b1ackbird" not in saved_texts(shown)
    kernel.send_comm("comm_open", "c1", {"run": document["run"]})
    kernel.send_comm("comm_msg", "c1", {"kind": "detail", "action": "a0"})
    assert kernel.wait_for_comm("detail")["detail"]["inputs"][0]["preview"]["text"] == "b1ackbird"
    kernel.ok("%flyte config save_previews=yes")


def test_a_setting_that_cannot_be_is_refused_with_what_can(kernel) -> None:
    for given, words in [
        ("saved_kb=5", "10 or more; got 'saved_kb=5'"),
        ("saved_kb=many", "whole number of kB"),
        ("save_previews=perhaps", "yes or no; got 'save_previews=perhaps'"),
        ("saved=1", "got 'saved=1'"),
    ]:
        outputs = kernel.run(f"%flyte config {given}")
        assert words in outputs.stderr + json.dumps(outputs.of("error")), given
