"""flyte_nb in Jupyter: the magics, completion, and the run explorer in cells. Loaded by `flyte_nb.notebook.extension`."""
