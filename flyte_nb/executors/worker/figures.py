"""The matplotlib backend of workers: figures are drawn by Agg, and `plt.show()` displays them where the task waits."""

from __future__ import annotations

from matplotlib import pyplot
from matplotlib._pylab_helpers import Gcf
from matplotlib.backend_bases import FigureManagerBase as FigureManager
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas

from flyte_nb.executors.worker.displays import display

__all__ = ["FigureCanvas", "FigureManager", "show"]


def show(*, block: bool | None = None) -> None:
    """Displays every open figure, and closes them.

    Args:
        block: without effect: nobody could close a window.
    """
    try:
        for manager in Gcf.get_all_fig_managers():
            display(manager.canvas.figure)
    finally:
        pyplot.close("all")
