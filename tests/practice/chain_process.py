"""The chain's process with money for whom a test names: `python -m tests.practice.chain_process FOLDER PORT ADDRESS=WEI …`.

As `desktop_app/practice/evm.py` runs it, but for the keys. Ends with the process that started it.
"""

import sys
from pathlib import Path

from desktop_app.core.errors import AppError
from desktop_app.practice.chain.serve import run
from desktop_app.practice.lifeline import end_with_parent

if __name__ == "__main__":
    folder, port, *funded = sys.argv[1:]
    end_with_parent()
    try:
        run(Path(folder), {address: int(wei) for address, wei in (one.split("=") for one in funded)}, int(port))
    except AppError as error:
        sys.exit(f"{error.title}\n{error.advice}")
