"""The chain's process with money for whom a test names: `python -m tests.practice.chain_process FOLDER PORT ADDRESS=WEI …`.

As `desktop_app/practice/evm.py` runs it, but for the keys. Ends with the process that started it. With `every=SECONDS` among
the addresses two blocks are so far apart.
"""

import sys
from pathlib import Path

from desktop_app.core.errors import AppError
from desktop_app.practice.chain import miner
from desktop_app.practice.chain.serve import run
from desktop_app.practice.lifeline import end_with_parent

if __name__ == "__main__":
    folder, port, *funded = sys.argv[1:]
    end_with_parent()
    given = dict(one.split("=") for one in funded)
    miner.BLOCK_EVERY = float(given.pop("every", miner.BLOCK_EVERY))
    try:
        run(Path(folder), {address: int(wei) for address, wei in given.items()}, int(port))
    except AppError as error:
        sys.exit(f"{error.title}\n{error.advice}")
