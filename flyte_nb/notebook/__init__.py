"""flyte_nb in Jupyter: magics, completion, and the run explorer in cells; loaded by `flyte_nb.notebook.extension`."""
