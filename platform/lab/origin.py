"""What a run is made from: which code, and which bytes."""

from __future__ import annotations

from lab.errors import DataChanged
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.address import shown
from lab.tracking.provenance import provenance
from lab.tracking.tracker import RunRecord, Status

FINGERPRINT = "fingerprint"
"""the tag with the fingerprint of the data"""


def origin(spec: ExperimentSpec, settings: Settings) -> dict[str, str]:
    """Tags that say which code and which bytes a run is made from. Raises MissingDataset."""
    return provenance() | {FINGERPRINT: spec.data.open(settings.data).fingerprint}


def require_same_data(run: RunRecord, spec: ExperimentSpec, settings: Settings) -> None:
    """Raise DataChanged where `run`, the one on record for `spec`, has measured other bytes than are prepared
    now.

    A digest names a data set, not its bytes, and has one run. So what was measured on other bytes is neither
    returned as the result for these nor continued on them. A run that has measured nothing yet may begin with
    what is there. Raises MissingDataset.
    """
    before = run.tags.get(FINGERPRINT)
    if before is None or not (run.metrics or run.status is Status.COMPLETE):
        return
    now = spec.data.open(settings.data).fingerprint
    if now != before:
        raise DataChanged(
            f"{run.name} seed {run.seed} ({run.digest}) was made from {spec.data.name} {before}, but "
            f"{shown(settings.data)} holds {now}: prepare the old data again or set LAB_DATA to where it is, "
            "or keep both records with another LAB_HOME."
        )
