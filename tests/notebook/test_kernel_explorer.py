from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

MIME = "application/vnd.flyte.run+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def names_of(outputs: Any) -> set[str]:
    return {content["transient"]["display_id"] for content in outputs.displays + outputs.renewals}


def test_a_run_is_displayed_once_and_ends_as_a_saved_document(kernel) -> None:
    outputs = kernel.ok("r = flyte.run(main, n=3)")
    assert len(outputs.displays) == 1 and len(names_of(outputs)) == 1
    begun, ended = outputs.displays[0]["data"][MIME], outputs.shown[MIME]
    assert begun["live"] is True and begun["actions"]["name"] == ["a0"]
    assert ended["live"] is False and ended["phase"] == "succeeded" and ended["total"] == 4
    assert set(outputs.shown) == {MIME, "text/html", "text/plain"}
    assert set(ended["details"]) == set(ended["actions"]["name"])


def test_a_run_as_last_expression_is_not_drawn_twice(kernel) -> None:
    outputs = kernel.ok("flyte.run(fit, x=1)")
    assert len(outputs.displays) == 1
    assert set(outputs.result) == {"text/plain"} and outputs.result["text/plain"].startswith("<Run ")


def test_tasks_and_environments_show_as_a_line_where_their_repr_has_every_setting(kernel) -> None:
    assert kernel.ok("main").result["text/plain"] == "quick.main(n: int = 3) -> list[int]"
    assert kernel.ok("[fit, env]").result["text/plain"].startswith("[quick.fit(x: int) -> int, TaskEnvironment quick: ")
    assert kernel.ok("print('timeout=' in repr(main))").stdout == "True\n"


def test_a_run_of_an_earlier_cell_is_drawn_when_it_is_shown(kernel) -> None:
    kernel.ok("r = flyte.run(fit, x=1)")
    shown = kernel.ok("r").result
    assert set(shown) == {MIME, "text/html", "text/plain"} and shown[MIME]["phase"] == "succeeded"


def test_further_runs_of_a_cell_are_rows_of_its_one_explorer(kernel) -> None:
    outputs = kernel.ok("for x in (0, 1, 3, 4): flyte.run(fit, x=x)")
    assert len(outputs.displays) == 1 and len(names_of(outputs)) == 1
    document = outputs.shown[MIME]
    assert len(document["runs"]) == 4 and document["runs_omitted"] == 0
    assert document["runs"][-1] == {"run": document["run"]}
    assert [one["actions"]["label"] for one in document["runs"][:-1]] == [["x=0"], ["x=1"], ["x=3"]]
    assert outputs.shown["text/plain"].count("\n") == 3


def test_a_hundred_runs_in_a_loop_stay_one_small_display(kernel) -> None:
    outputs = kernel.ok("for x in range(120):\n    if x != 2: flyte.run(fit, x=x)")
    assert len(outputs.displays) == 1 and len(outputs.renewals) < 40
    document = outputs.shown[MIME]
    assert len(document["runs"]) == 101 and document["runs_omitted"] == 18
    assert len(json.dumps(document)) < 150_000


def test_the_first_run_that_failed_is_the_one_to_look_at(kernel) -> None:
    outputs = kernel.ok("for x in (0, 2, 3):\n    try: flyte.run(fit, x=x)\n    except RuntimeError: pass")
    assert outputs.shown[MIME]["phase"] == "failed"


def test_a_run_that_a_task_starts_joins_the_explorer_of_its_cell(kernel) -> None:
    kernel.ok("@env.task\nasync def outer() -> int:\n    return (await flyte.run.aio(fit, x=4)).outputs()[0]")
    outputs = kernel.ok("r = flyte.run(outer)")
    assert len(outputs.displays) == 1
    outer, inner = outputs.shown[MIME]["runs"]
    assert outputs.shown[MIME]["task"] == "quick.outer" and set(outer) == {"run"}
    assert inner["task"] == "quick.fit" and inner["parent_run"] == outer["run"]


def test_a_run_that_lives_is_told_to_the_page_by_comm(kernel) -> None:
    outputs = kernel.ok("r = flyte.run(wait, seconds=2.5)")
    (opened,) = [content for content in outputs.of("comm_open") if content["target_name"] == "flyte_nb.run"]
    assert opened["data"] == {"run": outputs.shown[MIME]["run"]}
    told = [one["data"] for one in outputs.of("comm_msg") if one["comm_id"] == opened["comm_id"]]
    assert told[0]["kind"] == "snapshot" and told[0]["doc"]["actions"]["name"] == ["a0"]
    assert told[-1]["kind"] == "delta" and told[-1]["head"]["phase"] == "succeeded"
    assert told[-1]["rows"] == [0]


def test_the_widget_view_is_there_while_live_and_gone_at_the_end(kernel) -> None:
    outputs = kernel.ok("r = flyte.run(wait, seconds=2.5)")
    live = [content["data"] for content in outputs.renewals if WIDGET_VIEW in content["data"]]
    assert live and live[0][MIME]["live"] is True
    assert WIDGET_VIEW not in outputs.shown and outputs.shown[MIME]["live"] is False
    model = live[0][WIDGET_VIEW]["model_id"]
    assert model in [content["comm_id"] for content in outputs.of("comm_close")]


def test_a_page_may_ask_for_snapshot_and_details_at_any_time(kernel) -> None:
    name = kernel.ok("r = flyte.run(main, n=3)\nprint(r.name)").stdout.split()[-1]
    comm = uuid4().hex
    kernel.send_comm("comm_open", comm, {"run": name})
    for _ in range(2):
        kernel.send_comm("comm_msg", comm, {"kind": "hello", "run": name})
        assert kernel.wait_for_comm("snapshot")["doc"]["run"] == name
    kernel.send_comm("comm_msg", comm, {"kind": "unheard of"})
    kernel.send_comm("comm_msg", comm, {"kind": "detail", "action": "nowhere"})
    kernel.send_comm("comm_msg", comm, {"kind": "detail", "action": "a0"})
    assert kernel.wait_for_comm("detail")["detail"]["inputs"][0]["preview"]["text"] == "3"


def test_a_comm_for_an_unknown_run_is_closed(kernel) -> None:
    kernel.send_comm("comm_open", uuid4().hex, {"run": "nowhere"})
    assert kernel.wait_for_comm("close") == {}


def test_the_page_can_stop_a_run(kernel) -> None:
    kernel.ok("r = flyte.with_runcontext().start(wait, seconds=30.0)")
    name = kernel.ok("print(r.name)").stdout.strip()
    comm = uuid4().hex
    kernel.send_comm("comm_open", comm, {"run": name})
    kernel.send_comm("comm_msg", comm, {"kind": "abort"})
    kernel.ok("r.wait()")
    assert kernel.ok("print(r.phase.value)").stdout == "aborted\n"


def test_stop_ends_the_cell_and_leaves_the_run_drawn_as_aborted(kernel) -> None:
    def stop(message: dict[str, Any]) -> None:
        if message["msg_type"] == "comm_open":
            kernel.interrupt()

    outputs = kernel.run("flyte.run(wait, seconds=30.0)", on_message=stop)
    assert outputs.of("error")[-1]["ename"] == "KeyboardInterrupt"
    assert "flyte_nb/" not in outputs.traceback
    assert outputs.shown[MIME]["phase"] == "aborted"


def test_an_awaited_run_is_drawn_too(kernel) -> None:
    outputs = kernel.ok("r = await flyte.run.aio(main, n=2)")
    assert len(outputs.displays) == 1 and outputs.shown[MIME]["phase"] == "succeeded"


def test_a_run_that_outlives_its_cell_is_drawn_to_its_end(kernel) -> None:
    kernel.ok(
        "let_go = threading.Event()\n@env.task\nasync def held() -> None:\n"
        "    while not let_go.is_set():\n        await asyncio.sleep(0.01)"
    )
    first = kernel.ok("r = flyte.with_runcontext().start(held)")
    later = kernel.ok("let_go.set()\nr.wait()")
    display = first.displays[0]["transient"]["display_id"]
    (last,) = [one for one in later.renewals if one["transient"]["display_id"] == display][-1:]
    assert last["data"][MIME]["phase"] == "succeeded"


def test_what_blocks_the_loop_is_named(kernel) -> None:
    kernel.ok(
        "from flyte_nb.engine.session import session\n@env.task\nasync def block() -> None:\n"
        "    run = session().runs[flyte.ctx().action.run_name]\n"
        "    while 'blocks the loop' not in run.note: time.sleep(0.01)\n    time.sleep(0.3)"
    )
    outputs = kernel.ok("r = flyte.run(block)")
    notes = [one["data"]["head"]["note"] for one in outputs.of("comm_msg") if one["data"].get("kind") == "delta"]
    assert any("quick.block blocks the loop" in note for note in notes)


def test_output_shows_in_the_cell_that_started_the_run(kernel) -> None:
    assert kernel.ok("r = flyte.run(main, n=3)").stdout == "fit 0\nfit 1\nfit 2\n"


def test_displays_and_figures_of_a_task_are_kept_with_its_action(kernel) -> None:
    kernel.ok(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nfrom IPython.display import HTML, display\n"
        "@env.task\ndef draw() -> None:\n    display(HTML('<b>hi</b>'))\n    plt.figure(figsize=(2, 2))\n"
        "    plt.plot([1, 2])\n    plt.show()\n    display(HTML('x' * 1_000_000))"
    )
    outputs = kernel.ok("r = flyte.run(draw)")
    shown = [content["data"] for content in outputs.of("display_data") if MIME not in content["data"]]
    assert [set(data) for data in shown[:2]] == [{"text/html", "text/plain"}, {"image/png", "text/plain"}]
    kept = [line[2] for line in outputs.shown[MIME]["details"]["a0"]["logs"] if line[1] == "display"]
    assert json.loads(kept[0])["text/html"] == "<b>hi</b>" and json.loads(kept[1])["image/png"]
    long = kernel.ok("print(max(len(entry.text) for entry in r.logs()))").stdout
    assert int(long) < 300_000


def test_prints_of_a_run_that_outlives_its_cell_are_logged(kernel) -> None:
    kernel.ok("@env.task\nasync def later() -> None:\n    await held()\n    print('late')\nlet_go.clear()")
    kernel.ok("r = flyte.with_runcontext().start(later)")
    kernel.ok("let_go.set()\nr.wait()")
    assert kernel.ok("print([entry.text for entry in r.logs()])").stdout == "['late']\n"


def test_asyncio_run_works_in_a_cell(kernel) -> None:
    assert kernel.ok("print(asyncio.run(asyncio.sleep(0.01, 'slept')))").stdout == "slept\n"


def test_text_that_is_not_unicode_is_shown_with_question_marks(kernel) -> None:
    kernel.ok("@env.task\nasync def echo(text: str) -> str:\n    return text")
    outputs = kernel.ok(r"r = flyte.run(echo, text='a\ud800b')")
    assert outputs.shown[MIME]["actions"]["label"] == ['text="a?b"']
    assert kernel.ok(r"print(r.outputs()[0] == 'a\ud800b')").stdout == "True\n"
