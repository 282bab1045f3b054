"""The whole journey on small real data, in minutes: `make demo`.

Every step is a `lab` command that a person could type; it is printed before it runs. Finished work is found
in the record, so the demo can be killed at any moment and repeated: it goes on, and a second run trains
nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import monotonic

from lab.cli import main as lab
from lab.settings import Settings
from sweeps.experiments import imagenet
from sweeps.scales import laptop

REPORT = "report"
STEPS: tuple[tuple[str, str], ...] = (
    ("1,797 real handwritten digits become Parquet shards", "data prepare digits"),
    ("One Perceiver, on two Ray Train workers", "train imagenet.fourier --workers 2"),
    ("Table 2: in order and permuted, six models, five seeds, as Ray Tune trials", "sweep table2"),
    ("A search with Optuna: latent size, depth, sharing, Fourier bands", "sweep perceiver"),
    ("Table 2, filled from MLflow, beside the paper's values", "tables table2"),
    ("The same as a page with plots, for every exhibit", f"tables --format html --out {REPORT}"),
)


def main() -> int:
    """Run every step; return the exit code of the first that fails."""
    began = monotonic()
    for number, (purpose, command) in enumerate(STEPS, 1):
        print(f"\n[{number}/{len(STEPS)}] {purpose}\n$ lab {command}", flush=True)
        if code := run(command.split()):
            print(
                f"The demo stopped here. `make demo` goes on from this step: lab {command}", file=sys.stderr
            )
            return code
    print(f"\n{permutation_check()}")
    print(f"\nDone in {monotonic() - began:.0f} s. Everything above is at laptop scale: {laptop.caption}.")
    print(f"  the report          {REPORT}/report.html (open it in a browser)")
    print("  compare the runs    .venv/bin/lab ui")
    print("  what else there is  .venv/bin/lab list")
    return 0


def run(words: Sequence[str]) -> int:
    """One `lab` command in this process."""
    sys.stdout.flush()
    return lab(list(words))


def permutation_check() -> str:
    """What a fixed permutation of the pixels does to the trained Perceiver's logits on the test split, in
    words."""
    import torch

    from lab.train.checkpoint import CheckpointStore
    from lab.train.state import Training

    settings = Settings.load()
    spec = laptop(imagenet.fourier())
    logits = []
    for permutation in (None, 1):
        permuted = spec.override({"model.inputs.permutation": permutation})
        training = Training.begin(permuted, torch.device("cpu"))
        trained = CheckpointStore(settings.storage, spec.digest).latest()
        if trained is None:
            return (
                f"No checkpoint of {spec.digest} under {settings.storage}: the permutation cannot be shown."
            )
        training.restore(trained)
        model = training.model.eval()
        with torch.no_grad():
            scanned = spec.data.open(settings.data).scan("test", batch_size=spec.evaluation.batch_size)
            logits.append(torch.cat([model(batch.inputs)[batch.weights > 0] for batch in scanned]))
    apart, size = (logits[0] - logits[1]).abs().max().item(), logits[0].abs().max().item()
    same = bool((logits[0].argmax(1) == logits[1].argmax(1)).all())
    return (
        f"The trained Perceiver on permuted pixels: its {logits[0].numel():,} test logits move by at most "
        f"{apart:.1e} (the largest is {size:.1f}); {'every' if same else 'NOT every'} prediction is the same."
    )


if __name__ == "__main__":
    sys.exit(main())
