"""HTML reports of tasks: Flyte's `flyte.report`."""

from flyte_nb.report.report import Report, Tab, current_report, flush, get_tab, log, replace
from flyte_nb.report.timeline import Timeline, abbreviate, duration_ms

__all__ = [
    "Report",
    "Tab",
    "Timeline",
    "abbreviate",
    "current_report",
    "duration_ms",
    "flush",
    "get_tab",
    "log",
    "replace",
]
