"""Runs a conformance corpus against this checkout: `python scripts/conformance.py FOLDER [--as-flyte] [options]`.

Every case gets a store of its own, in the fresh home folder that the corpus makes for it. With `--as-flyte` the cases
say `import flyte`, which is this checkout (`flyte_nb.install_as_flyte`). Other options are those of run_corpus.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
INTERPRETER = f"""#!/bin/sh
PYTHONPATH="$(dirname "$0"):$PYTHONPATH" FLYTE_NB_HOME="$HOME/store" exec "{sys.executable}" "$@"
"""
AS_FLYTE = "import flyte_nb\n\nflyte_nb.install_as_flyte()\n"
"""Executed as `sitecustomize` when a case's Python starts."""


def main() -> int:
    """Runs the corpus named on the command line; returns its exit code."""
    folder, *options = sys.argv[1:] or [""]
    corpus = Path(folder) / "run_corpus.py"
    if not corpus.is_file():
        print(f"usage: python scripts/conformance.py FOLDER; there is no {corpus}", file=sys.stderr)
        return 2
    as_flyte = "--as-flyte" in options
    options = [option for option in options if option != "--as-flyte"]
    with tempfile.TemporaryDirectory() as temporary:
        interpreter = Path(temporary) / "python"
        interpreter.write_text(INTERPRETER)
        os.chmod(interpreter, 0o755)
        if as_flyte:
            interpreter.with_name("sitecustomize.py").write_text(AS_FLYTE)
        module = "flyte" if as_flyte else "flyte_nb"
        command = [sys.executable, str(corpus), "--module", module, "--python", str(interpreter)]
        return subprocess.run([*command, "--pythonpath", str(CHECKOUT), *options], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
