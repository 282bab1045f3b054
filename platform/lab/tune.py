"""Ray Tune at the work of a drive: the door to Tune.

Tune places the trials, keeps their processes for the next ones and, in a search, lets a scheduler stop the
worse ones early. What runs, and what a run is, is not its business: its own state is thrown away.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from lab import cluster  # before Ray: it says what Ray reads when it is imported

from ray import tune  # isort: skip
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule
from ray.tune.search import Searcher

from lab.drive import NO_MORE, Drive
from lab.search.pruning import Asha, Hyperband, Median
from lab.sweep import Search, Sweep
from lab.tracking.tracker import Status
from lab.trial import EVALUATION, run

ON_THE_HEAD = {"node:__internal_head__": 0.001}
"""where the drivers of worker groups sit: on the node that outlives the others, using none of the workers'
CPUs"""
CRASHES = 2
"""times that a trial whose process died is started again, from its checkpoint"""


def trial(config: dict[str, Any]) -> dict[str, Any]:
    """What Tune runs."""
    return run(config["work"], tune.report)


def conduct(drive: Drive, stop: Callable[[], bool]) -> None:
    """Let Tune run what a drive proposes, until it proposes no more."""
    alone = not drive.resources.several
    its_own = {"CPU": drive.resources.cpus, "GPU": drive.resources.gpus}
    storage = tempfile.mkdtemp(prefix="lab-tune-", dir=os.environ.get(cluster.SCRATCH))
    try:
        tune.Tuner(
            tune.with_resources(trial, its_own if alone else ON_THE_HEAD),
            tune_config=tune.TuneConfig(
                search_alg=_Proposals(drive),
                scheduler=_scheduler(drive.sweep),
                num_samples=-1,
                max_concurrent_trials=drive.tally.concurrent,
                reuse_actors=True,
                trial_dirname_creator=lambda made: str(made.trial_id),
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=storage,
                callbacks=[_Outcomes(drive, stop)],
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=CRASHES),
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _scheduler(sweep: Sweep) -> Any:
    if not isinstance(sweep, Search) or sweep.pruning is None:
        return FIFOScheduler()
    judged = {
        "time_attr": EVALUATION,
        "metric": sweep.objective,
        "mode": "max" if sweep.direction == "maximize" else "min",
    }
    match sweep.pruning:
        case Median(grace, others):
            return MedianStoppingRule(
                **judged, grace_period=grace, min_samples_required=others, hard_stop=True
            )
        case Asha(grace, reduction):
            brackets = 1
        case Hyperband(grace, reduction, brackets):
            pass
    return AsyncHyperBandScheduler(
        **judged, grace_period=grace, reduction_factor=reduction, brackets=brackets, max_t=10**9
    )


class _Proposals(Searcher):  # type: ignore[misc]
    """Tune's way to ask a drive. Nothing of it is saved: the record is what a sweep is continued from."""

    def __init__(self, drive: Drive) -> None:
        super().__init__()
        self._drive = drive

    def __getstate__(self) -> dict[str, Any]:  # a Tuner writes itself down when it is made
        return {}

    def suggest(self, trial_id: str) -> Any:
        work = self._drive.propose(trial_id)
        if work == NO_MORE:
            return Searcher.FINISHED
        return work and {"work": work}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """`_Outcomes` hears of it."""

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...


class _Outcomes(tune.Callback):  # type: ignore[misc]
    """Tune's way to tell a drive what became of a trial; also where the wish to stop is noticed."""

    def __init__(self, drive: Drive, stop: Callable[[], bool]) -> None:
        self._drive, self._stop = drive, stop

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._stop():
            self._drive.stop()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        # Without an outcome it was the scheduler that ended the trial, between two evaluations.
        status = Status(result.get("outcome", Status.PRUNED))
        self._drive.finish(trial.trial_id, status, result.get("reason", ""), result.get("traceback", ""))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reason = str(trial.get_error() or "").strip().partition("\n")[0] or "its process died"
        self._drive.finish(trial.trial_id, Status.FAILED, reason)
