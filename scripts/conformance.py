"""Runs a conformance corpus against this checkout: `python scripts/conformance.py FOLDER [options of run_corpus.py]`.

Every case gets a store of its own, in the fresh home folder that the corpus makes for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
INTERPRETER = f"""#!/bin/sh
FLYTE_NB_HOME="$HOME/store" exec "{sys.executable}" "$@"
"""


def main() -> int:
    """Runs the corpus named on the command line; returns its exit code."""
    folder, *options = sys.argv[1:] or [""]
    corpus = Path(folder) / "run_corpus.py"
    if not corpus.is_file():
        print(f"usage: python scripts/conformance.py FOLDER; there is no {corpus}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        interpreter = Path(temporary) / "python"
        interpreter.write_text(INTERPRETER)
        os.chmod(interpreter, 0o755)
        command = [sys.executable, str(corpus), "--module", "flyte_nb", "--python", str(interpreter)]
        return subprocess.run([*command, "--pythonpath", str(CHECKOUT), *options], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
