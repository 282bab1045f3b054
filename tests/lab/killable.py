"""A process that trains the toy slowly, to be killed: `python -m tests.lab.killable STORAGE LEDGER`.

It writes a checkpoint after every step, and what its sink has flushed as JSON to LEDGER.
"""

import json
import sys
import time
from pathlib import Path

from lab.train.run import train
from tests.lab.toy import RICH, Ledger


class FileLedger(Ledger):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def flush(self) -> None:
        super().flush()
        self.path.write_text(json.dumps([[*key, value] for key, value in self.curve().items()]))


if __name__ == "__main__":
    storage, ledger = sys.argv[1:]
    train(
        RICH,
        data_root="",
        storage=storage,
        sink=FileLedger(Path(ledger)),
        checkpoint_every=0,
        on_event=lambda event: time.sleep(0.01),
    )
