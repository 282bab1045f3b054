"""A process that trains the toy slowly, to be killed: `python -m tests.lab.killable STORAGE LEDGER`.

It writes a checkpoint after every step, and what its sink has flushed as JSON to LEDGER.
"""

import sys
import time

from lab.train.run import train
from tests.lab.toy import RICH, FileLedger

if __name__ == "__main__":
    storage, ledger = sys.argv[1:]
    train(
        RICH,
        data_root="",
        storage=storage,
        sink=FileLedger(ledger),
        checkpoint_every=0,
        on_event=lambda event: time.sleep(0.01),
    )
