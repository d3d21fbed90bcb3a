"""What a task tells in HTML: a report with tabs, one for each attempt, flushed to whoever shows it.

    task --log, replace--> Report --flush--> on_flush(html), set by the engine

The page has no scripts: it is shown in a frame that would not run them. Tabs are radio buttons that CSS reads.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from string import Template
from typing import Any, Generic, ParamSpec

from flyte_nb.authoring.context import current_scope

__all__ = ["Report", "Tab", "current_report", "flush", "get_tab", "log", "replace"]

MAIN = "main"

P = ParamSpec("P")

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light; background: #fff; color: #222; }
body { margin: 0; padding: 12px 16px; font: 14px/1.5 system-ui, sans-serif; }
img, svg { max-width: 100%; }
table { border-collapse: collapse; }
td, th { padding: 2px 8px; border-bottom: 1px solid rgba(128, 128, 128, .3); text-align: left; }
.flyte-tab { position: absolute; opacity: 0; }
.flyte-label { display: inline-block; margin: 0 12px 12px 0; padding: 4px 2px; cursor: pointer; }
.flyte-label { font-weight: 600; opacity: .65; }
.flyte-tab:checked + .flyte-label { opacity: 1; box-shadow: inset 0 -3px #7652a2; }
.flyte-tab:focus-visible + .flyte-label { outline: 2px solid #7652a2; }
.flyte-panel { display: none; }
$selectors { display: block; }
</style>
</head>
<body>
$labels
$panels
</body>
</html>
""")


@dataclass
class Tab:
    """One tab of a report. Content is HTML that goes into a `<div>`, not a whole document."""

    name: str
    content: list[str] = field(default_factory=list, init=False)

    def log(self, content: str) -> None:
        """Adds HTML below what is there."""
        self.content.append(content)

    def replace(self, content: str) -> None:
        """Puts HTML in the place of what is there."""
        self.content = [content]

    def get_html(self) -> str:
        """The HTML of the tab."""
        return "\n".join(self.content)


@dataclass
class Report:
    """The report of one attempt.

    Attributes:
        name: the title.
        tabs: by name; "main" is always there.
        on_flush: takes the page whenever the task flushes; None when nobody shows it.
    """

    name: str
    tabs: dict[str, Tab] = field(default_factory=dict)
    on_flush: Callable[[str], None] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.tabs.setdefault(MAIN, Tab(MAIN))

    def has_content(self) -> bool:
        """True when anything was logged."""
        return any(tab.content for tab in self.tabs.values())

    def get_tab(self, name: str, create_if_missing: bool = True) -> Tab:
        """The tab of that name.

        Raises:
            ValueError: there is none, and it shall not be made.
        """
        if name not in self.tabs:
            if not create_if_missing:
                raise ValueError(f"Tab {name} does not exist.")
            self.tabs[name] = Tab(name)
        return self.tabs[name]

    def get_final_report(self) -> str:
        """The whole page: self-contained, without scripts. Always text, in notebooks too."""
        shown = [tab for tab in self.tabs.values() if tab.content or tab.name != MAIN]
        labels, panels = [], []
        for number, tab in enumerate(shown):
            checked = " checked" if number == 0 else ""
            labels.append(
                f'<input class="flyte-tab" type="radio" name="flyte-tab" id="flyte-tab-{number}"{checked}>'
                f'<label class="flyte-label" for="flyte-tab-{number}">{html.escape(tab.name)}</label>'
            )
            # The content is the task's own HTML; whoever shows the page keeps it in a sandboxed frame.
            panels.append(f'<div class="flyte-panel" id="flyte-panel-{number}">{tab.get_html()}</div>')
        chosen = [f"body:has(#flyte-tab-{number}:checked) #flyte-panel-{number}" for number in range(len(shown))]
        if shown == [self.tabs[MAIN]]:  # nothing to choose from
            labels, chosen = [], ["#flyte-panel-0"]
        return _PAGE.substitute(
            title=html.escape(self.name),
            selectors=", ".join(chosen) or ".flyte-none",
            labels="\n".join(labels),
            panels="\n".join(panels),
        )


class _Syncified(Generic[P]):
    """A function that needs no event loop, with the `.aio` form that Flyte's have."""

    def __init__(self, function: Callable[P, None]) -> None:
        self._function = function
        wraps(function)(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        self._function(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """The same, awaited."""
        self._function(*args, **kwargs)


def current_report() -> Report:
    """The report of the running task; one that nobody sees outside a task."""
    scope = current_scope.get()
    report: Any = None if scope is None else scope.controller.task_context(scope).report
    return report if isinstance(report, Report) else Report("dummy")


def get_tab(name: str, /, create_if_missing: bool = True) -> Tab:
    """The tab of that name of the running task's report.

    Raises:
        ValueError: there is none, and it shall not be made.
    """
    return current_report().get_tab(name, create_if_missing)


@_Syncified
def flush() -> None:
    """Shows the report as it stands. Also `await flush.aio()`."""
    report = current_report()
    if report.on_flush is not None:
        report.on_flush(report.get_final_report())


@_Syncified
def log(content: str, do_flush: bool = False) -> None:
    """Adds HTML to the main tab. Also `await log.aio(...)`.

    Args:
        content: goes into a `<div>`.
        do_flush: show the report at once.
    """
    get_tab(MAIN).log(content)
    if do_flush:
        flush()


@_Syncified
def replace(content: str, do_flush: bool = False) -> None:
    """Puts HTML in the place of the main tab's. Also `await replace.aio(...)`.

    Args:
        content: goes into a `<div>`.
        do_flush: show the report at once.
    """
    get_tab(MAIN).replace(content)
    if do_flush:
        flush()
