from __future__ import annotations

import re
from pathlib import Path

import pytest

MIME = "application/vnd.flyte.run+json"


def test_run_takes_text_and_returns_the_run(kernel) -> None:
    assert kernel.ok("r = %flyte run fit --x 5\nprint(r.phase.value, r.outputs()[0])").stdout == "fit 5\nsucceeded 25\n"


def test_run_takes_expressions_of_the_namespace(kernel) -> None:
    kernel.ok("numbers = [1, 2, 4]")
    kernel.ok("r = %flyte run fit x=sum([n for n in numbers])")
    assert kernel.ok("print(r.outputs()[0])").stdout == "49\n"


def test_braces_and_dollars_are_not_expanded(kernel) -> None:
    kernel.ok("@env.task\nasync def keys(table: dict[str, int]) -> str:\n    return ','.join(table)")
    kernel.ok('r = %flyte run keys --table {"a": 1, "b": 2}')
    assert kernel.ok("print(r.outputs()[0])").stdout == "a,b\n"


def test_run_takes_labels_and_knows_its_notebook(kernel) -> None:
    kernel.ok("r = %flyte run quick.fit --x 1 --label team=risk --label who='a b'")
    assert kernel.ok("print(r.labels, r.notebook)").stdout == "{'team': 'risk', 'who': 'a b'} risk.ipynb\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run fit --x abc", "quick.fit: x must be int, got 'abc': Input should be a valid integer"),
        ("run fit x='abc'", "quick.fit: Type conversion failed for variable 'x'"),
        ("run fit", "quick.fit needs x. It takes x: int."),
        ("run fit --y 3", "quick.fit has no parameter 'y'. It takes x: int."),
        ("run fit 3", "'3': inputs are given by name, as --name value or name=expression. It takes x: int."),
        ("run fitt --x 3", "No task is named 'fitt'. Did you mean fit"),
        ("run env", "'env' is of type TaskEnvironment, not a task."),
        ("run", "Say which task: %flyte run TASK"),
        ("run fit(3)", "Say which task by its name; 'fit(3)' is not a name."),
        ("run fit x=nowhere", "x=nowhere: NameError: name 'nowhere' is not defined"),
        ("runz", "%flyte has no subcommand 'runz'. Did you mean run"),
        ("runs --phase done", "There is no phase 'done'."),
        ("runs --limit many", "--limit takes a number, got 'many'"),
        ("runs --lmit 3", "%flyte runs has no option --lmit. Did you mean --limit?"),
        ("show", "RUN missing: %flyte show RUN"),
        ("show nowhere", "No run is named 'nowhere'"),
        ("logs last nowhere", "nowhere"),
        ("logs last fti", "has no action 'fti'; did you mean fit?"),
        ("rerun last --action fti", "has no action 'fti'; did you mean fit?"),
        ("cache claer", "Did you mean clear?"),
        ("tag last team", "A label is given as KEY=VALUE, got 'team'"),
        ("sql", "%flyte sql takes one SELECT"),
        ("sql SELEC 1", "syntax error"),
        ("sql DROP TABLE runs", "exactly one SELECT"),
    ],
)
def test_bad_input_is_one_clear_message_without_a_traceback(kernel, line: str, said: str) -> None:
    kernel.ok("%flyte run fit --x 1")
    outputs = kernel.run(f"%flyte {line}")
    assert outputs.stderr.startswith("UsageError: ") and said in outputs.stderr
    assert not outputs.of("error") and not outputs.displays


def test_a_syntax_error_is_shown_with_a_caret(kernel) -> None:
    message = kernel.run("%flyte run fit x=1 + * 2").stderr
    assert "'+': inputs are given by name" in message
    _, line, caret = kernel.run("%flyte run fit x=(1+*)").stderr.rstrip().split("\n")
    assert line == "    fit x=(1+*)" and caret.strip() == "^"


def test_a_failed_run_raises_from_the_users_cell_and_task(kernel) -> None:
    outputs = kernel.run("%flyte run fit --x 2")
    text = outputs.traceback
    assert 'raise ValueError("unlucky")' in text
    assert "RuntimeUserError: unlucky" in text
    told = r"in fit \(action a0, cell \d+, line \d+\) of run (\w+)\nsee %flyte show \1, %flyte debug \1"
    assert re.search(f"{told}$", text.rstrip())
    assert "flyte_nb/" not in text and "interactiveshell" not in text and "hidden" not in text
    assert (
        kernel.ok("import sys\nprint(str(sys.last_value), sys.last_value.run.phase.value)").stdout == "unlucky failed\n"
    )


def test_errors_of_input_checks_show_the_cell_alone(kernel) -> None:
    text = kernel.run("flyte.run(fit, x='abc')").traceback
    assert "flyte.run(fit, x='abc')" in text and "Type conversion failed" in text
    assert "flyte_nb/" not in text


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("flyte.TaskEnvironment('a', resorces=None)", "Did you mean resources?"),
        ("env.task(retrys=3)", "Did you mean retries?"),
        ("fit.override(retrys=3)", "Did you mean retries or secrets?"),
        ("flyte.with_runcontext(lables={})", "Did you mean labels?"),
        ("flyte.run(fit, 1)['fti']", "did you mean fit?"),
        ("flyte.run(fit, 1).outputs().o7", "There is no output 'o7'; outputs: o0"),
        ("flyte.run(fit, 1).inputs()['y']", "There is no input 'y'; inputs: x"),
        ("flyte.remote.Run.get('nowhere')", "No run is named 'nowhere'"),
        ("flyte.run(fit, 1).actions(phase='faild')", "There is no phase 'faild'; did you mean failed?"),
    ],
)
def test_a_wrong_name_in_python_is_answered_with_the_near_one_and_the_cell_alone(kernel, cell: str, said: str) -> None:
    text = kernel.run(cell).traceback
    assert said in text and "----> 1" in text
    assert not [name for name in ("flyte_nb/", "dataclasses.py", "collections", "enum.py") if name in text]


def test_faults_that_do_not_pass_through_the_package_are_shown_as_ever(kernel) -> None:
    text = kernel.run("def f():\n    return [][1]\nf()").traceback
    assert text.count("return [][1]") >= 1 and "IndexError" in text


def test_runs_lists_and_filters(kernel) -> None:
    kernel.ok("%flyte run fit --x 1 --label kind=listed")
    kernel.ok("%flyte run main --label kind=listed")
    table = "t = %flyte runs --label kind=listed"
    assert kernel.ok(f"{table}\nprint(t['task'], t['phase'])").stdout == (
        "['quick.main', 'quick.fit'] ['succeeded', 'succeeded']\n"
    )
    assert kernel.ok(f"{table} --task fit --limit 1 --notebook\nprint(t['task'])").stdout == "['quick.fit']\n"
    html = kernel.ok("%flyte runs --limit 1").result["text/html"]
    assert "<table" in html
    assert kernel.ok("%flyte runs --label kind=none").stdout == "No runs fit.\n"


def test_a_run_is_found_by_the_beginning_of_its_name_or_as_the_last(kernel) -> None:
    kernel.ok("r = %flyte run fit --x 1")
    name = kernel.ok("print(r.name)").stdout.strip()
    assert kernel.ok(f"%flyte show {name[:-1]}").result[MIME]["run"] == name
    assert kernel.ok("%flyte show last").result[MIME]["run"] == name


def test_logs_are_those_of_the_run_or_of_one_action(kernel) -> None:
    kernel.ok("r = %flyte run main --n 3")
    assert sorted(kernel.ok("%flyte logs last").result["text/plain"].splitlines()) == ["fit 0", "fit 1", "fit 2"]
    action = kernel.ok("print(next(a.name for a in r.actions(task='fit') if a.inputs()['x'] == 1))").stdout.strip()
    assert kernel.ok(f"%flyte logs last {action[:6]}").result["text/plain"] == "fit 1"


def test_tag_sets_labels_and_takes_them_away(kernel) -> None:
    kernel.ok("r = %flyte run fit --x 1")
    assert "team=risk, who=a b" in kernel.ok("%flyte tag last team=risk who='a b'").stdout
    kernel.ok("%flyte tag last team=")
    assert kernel.ok("print(r.labels)").stdout == "{'who': 'a b'}\n"


def test_sql_answers_over_runs_and_the_notebooks_frames(kernel) -> None:
    kernel.ok("%flyte run fit --x 1 --label kind=sql")
    kernel.ok("import pandas as pd\nweights = pd.DataFrame({'task': ['quick.fit'], 'weight': [7]})")
    line = "t = %flyte sql SELECT task, weight FROM runs JOIN weights USING (task) WHERE labels['kind'] = 'sql'"
    assert kernel.ok(f"{line}\nprint(list(t['weight']), list(t.columns))").stdout == "[7] ['task', 'weight']\n"
    cell = "%%flyte sql\nSELECT count(*) AS n\nFROM runs\nWHERE labels['kind'] = 'sql'"
    assert "1" in kernel.ok(cell).result["text/plain"]


def test_help_is_made_of_the_declarations(kernel) -> None:
    overview = kernel.ok("%flyte help").stdout
    assert all(f"  {name} " in overview for name in ("run", "runs", "show", "logs", "tag", "sql", "help"))
    assert kernel.ok("%flyte help logs").stdout == kernel.ok("%flyte logs --help").stdout
    assert kernel.ok("%flyte help logs").stdout.startswith("%flyte logs RUN [ACTION] [--limit N]")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%flyte ru", ["run", "runs"]),
        ("%flyte run fi", ["fit"]),
        ("r = %flyte run quick.f", ["quick.fit"]),
        ("%flyte run fit --", ["--x", "--label", "--isolation"]),
        ("%flyte run fit x", ["x="]),
        ("%flyte run fit --x 3 --", ["--label", "--isolation"]),
        ("%flyte runs --phase fa", ["failed"]),
        ("%flyte runs --t", ["--task"]),
        ("%flyte show la", ["last"]),
        ("%flyte help pru", ["prune"]),
    ],
)
def test_tab_completes(kernel, line: str, offered: list[str]) -> None:
    assert kernel.complete(line) == offered


def test_tab_completes_runs_and_actions(kernel) -> None:
    kernel.ok("r = %flyte run main")
    name = kernel.ok("print(r.name)").stdout.strip()
    assert kernel.complete(f"%flyte logs {name[:-1]}") == [name]
    assert kernel.complete(f"%flyte logs {name} a") == [
        one for one in kernel.ok("print(*[a.name for a in r.actions()])").stdout.split() if one.startswith("a")
    ]


def test_tab_says_types_and_help_of_parameters_options_tasks_and_runs(kernel) -> None:
    kernel.ok(
        "@env.task\ndef grown(depth: int, rate: float = 0.1) -> float:\n"
        '    """Grows a tree.\n\n    Args:\n        depth: how deep it may get.\n    """\n    return depth * rate\n'
        "%flyte run grown --depth 2"
    )

    def told(line: str) -> dict[str, str]:
        content = kernel.client.complete(line, reply=True, timeout=60)["content"]
        offers = content["metadata"]["_jupyter_types_experimental"]
        return {one["text"]: one["type"].replace("\N{NO-BREAK SPACE}", " ") for one in offers}

    assert told("%flyte run grow")["grown"] == "(depth: int, rate: float = 0.1)  Grows a tree."
    assert told("%flyte run grown --d") == {"--depth": "depth: int  how deep it may get."}
    assert told("%flyte run grown ra") == {"rate=": "rate: float = 0.1"}
    assert told("%flyte runs --li")["--limit"] == "at most so many; 20 unless told"
    assert told("%flyte deb")["debug"].startswith("Enters a failed action again")
    name = kernel.ok("print(flyte.last_run.name)").stdout.strip()
    assert told("%flyte show ")[name] == "quick.grown succeeded"
    kernel.ok("r = %flyte run main")
    assert "main/fit[0]" in told("%flyte logs last ")


def test_a_question_mark_asks_for_the_help_of_all_of_one_subcommand_or_of_a_task(kernel) -> None:
    (page,) = kernel.ok("%flyte?").pages
    assert "Runs tasks and finds runs again." in page and "  debug " in page and "%%flyte SUBCOMMAND" in page
    assert kernel.ok("%flyte runs?").stdout == kernel.ok("%flyte help runs").stdout
    assert kernel.ok("%%flyte run??").stdout.startswith("%flyte run [-b]")
    asked = kernel.ok("%flyte run main?").stdout
    assert asked.startswith("quick.main\n  n: int = 3\n\n%flyte run [-b]")
    assert "Did you mean runs" in kernel.run("%flyte rnus?").stderr


def test_tab_elsewhere_is_left_alone(kernel) -> None:
    kernel.ok("value_of_mine = 1")
    assert "value_of_mine" in kernel.complete("value_of_mi")


def test_load_and_unload_may_be_repeated(kernel) -> None:
    kernel.ok("%reload_ext flyte_nb")
    kernel.ok("%load_ext flyte_nb")
    assert len(kernel.ok("flyte.run(fit, x=1)").displays) == 1
    kernel.ok("%unload_ext flyte_nb")
    assert kernel.ok("flyte.run(fit, x=1)").displays == []
    assert "not found" in kernel.run("%flyte runs").stderr
    kernel.ok("%load_ext flyte_nb")
    assert len(kernel.ok("flyte.run(fit, x=1)").displays) == 1


def test_the_store_stands_where_the_kernel_was_told(kernel) -> None:
    home = Path(kernel.ok("import os\nprint(os.environ['FLYTE_NB_HOME'])").stdout.strip())
    assert (home / "journals").is_dir()
