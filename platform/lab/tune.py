"""Ray Tune at the work of a drive: the door to Tune.

Tune places the trials, starts their processes again where they die and, in a search, lets a scheduler stop
the worse ones early. What runs, and what a run is, is not its business: its own state is thrown away.

Where nothing is pruned there is nothing to decide between two trials: then what Tune runs are *lanes*, each
of which takes one trial after another from a desk, at a fraction of what a trial of Tune's own costs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from time import monotonic
from typing import Any
from uuid import uuid4

from lab import cluster  # before Ray: it says what Ray reads when it is imported

import ray  # isort: skip
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule
from ray.tune.search import Searcher

from lab.crashes import CRASHES, Crashes
from lab.desk import CLOSED, Desk, Outcome, Slip, Turn
from lab.drive import NO_MORE, NO_PLACE, Drive
from lab.errors import RunError
from lab.lanes import IDLE_CRASHES, Lanes
from lab.search.pruning import Asha, Hyperband, Median
from lab.sweep import Search
from lab.tracking.tracker import Status
from lab.train.memory import is_short_of_memory
from lab.trial import EVALUATION, run

ON_THE_HEAD = {"node:__internal_head__": 0.001}
"""where the drivers of worker groups sit: on the node that outlives the others, using none of the workers'
CPUs"""
SHORT_SECONDS = 2.0
"""trials that take less have the next one ready at the desk, so that no lane waits"""
TURNS_SECONDS = 0.5
"""so long Tune may wait for the clerk"""


def conduct(drive: Drive, stop: Callable[[], bool], watch: Callable[[], object] = lambda: None) -> None:
    """Let Tune run what a drive proposes, until it proposes no more. watch: called several times a second."""
    if isinstance(drive.sweep, Search) and drive.sweep.pruning is not None:
        proposals, outcomes = _Proposals(drive, stop), _Outcomes(drive, stop, watch)
        ends = _Ends(lambda: drive.halted)
        scheduler = _scheduler(drive.sweep)
        _fit(drive, trial, [outcomes], ends, scheduler, search_alg=proposals, num_samples=-1)
        return
    number = max(1, min(drive.tally.concurrent, drive.tally.total - drive.tally.settled))
    desk = ray.remote(Desk).options(
        num_cpus=0, max_concurrency=number + 8, scheduling_strategy=cluster.here()
    )
    clerk = Clerk(drive, desk.remote(), number, stop, watch)
    try:
        ends = _Ends(lambda: clerk.hopeless)
        trainable = tune.with_parameters(lane, desk=clerk.desk)
        _fit(drive, trainable, [clerk], ends, _Rests(clerk.lanes), num_samples=number)
    finally:
        ray.kill(clerk.desk)
    clerk.require_end()


def _fit(
    drive: Drive,
    trainable: Any,
    callbacks: list[tune.Callback],
    ends: tune.Stopper,
    scheduler: FIFOScheduler,
    **how: Any,
) -> None:
    alone = not drive.resources.several
    its_own = {"CPU": drive.resources.cpus, "GPU": drive.resources.gpus}
    pruned = "search_alg" in how
    with _scratch() as storage:
        tune.Tuner(
            tune.with_resources(trainable, its_own if alone else ON_THE_HEAD),
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                max_concurrent_trials=drive.tally.concurrent if pruned else None,
                reuse_actors=pruned,
                trial_dirname_creator=lambda made: str(made.trial_id),
                **how,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=storage,
                callbacks=callbacks,
                stop=ends,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=CRASHES if pruned else -1),
            ),
        ).fit()


@contextmanager
def _scratch() -> Iterator[str]:
    """For what Tune writes and nobody reads."""
    storage = tempfile.mkdtemp(prefix="lab-tune-", dir=os.environ.get(cluster.SCRATCH))
    try:
        yield storage
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def trial(config: dict[str, Any]) -> dict[str, Any]:
    """What Tune runs where it prunes."""
    return run(config["work"], tune.report)


def lane(config: dict[str, Any], *, desk: Any) -> dict[str, int]:
    """What Tune runs otherwise."""
    name, life, outcome = tune.get_context().get_trial_id(), uuid4().hex, None
    trials = 0
    while (slip := ray.get(desk.fetch.remote(name, outcome, life=life))) != CLOSED:
        outcome = slip and Outcome(slip.trial, run(ray.cloudpickle.loads(slip.work), lambda values: None))
        trials += slip is not None
    return {"trials": trials}  # Tune would print that there is nothing


class Clerk(tune.Callback):  # type: ignore[misc]
    """Keeps the desk: puts down what the drive proposes and tells it what became of that."""

    def __init__(
        self,
        drive: Drive,
        desk: Any,
        lanes: int,
        stop: Callable[[], bool],
        watch: Callable[[], object],
    ) -> None:
        self.drive, self.desk, self.lanes, self.stop, self.watch = drive, desk, Lanes(lanes), stop, watch
        self.fault: Exception | None = None
        """why nothing more was begun; those that were at work have come to an end"""
        self.broken = False
        """whether the desk is gone, and with it what the lanes had to say"""
        self._ended = False
        """whether the drive said that there is no more, and all that was put down has come back"""
        self._numbers, self._out = count(), dict[str, Slip]()
        self._at_work: dict[str, str] = {}
        """trial -> its lane"""
        self._crashes = Crashes()

    @property
    def hopeless(self) -> bool:
        """Whether nothing that a lane could still do would be heard, or be of use: to one that waits for its
        place, or dies again and again, nobody can say that the desk has closed."""
        unheard = self._ended and (self.drive.stopped or self.lanes.troubled)
        return self.broken or ((unheard or self.fault is not None) and not self._out)

    def require_end(self) -> None:
        """Raise what went wrong, also where Tune has given up every lane before all was done: it does so with
        one whose process cannot even be started."""
        if self.fault is not None:
            raise self.fault
        if not self._ended and not self.drive.stopped:
            raise RunError(
                "no process that could train was left, for none could be started: look into Ray's logs, and "
                "repeat the command."
            )

    def __getstate__(self) -> dict[str, Any]:  # a Tuner writes itself down when it is made
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._guarded(self._turns)
        self.watch()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A lane's process died; Tune starts another one, when `_Rests` lets it."""
        self._guarded(lambda: self._lost(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._guarded(lambda: self._lost(trial))

    def _guarded(self, act: Callable[[], object]) -> None:
        """What goes wrong here ends the sweep, but none of those that train before their checkpoint."""
        if self.broken:
            return
        try:
            act()
        except ray.exceptions.RayActorError as fault:
            words = str(fault).strip().partition("\n")[0]
            self.fault = RunError(f"the process that hands out trials died ({words}): repeat the command.")
            self.broken = True
        except Exception as fault:
            self.fault = self.fault or fault
            self.drive.stop()
            with suppress(ray.exceptions.RayActorError):  # the next turn meets it
                for trial in ray.get(self.desk.withdraw.remote()):
                    self._out.pop(trial, None)

    def _turns(self) -> None:
        """One after the other as long as trials end: between two calls Tune waits."""
        until = monotonic() + TURNS_SECONDS
        while self._turn() and monotonic() < until:
            pass

    def _turn(self) -> bool:
        """Whether trials have ended since the one before."""
        if self.stop() and not self.drive.stopped:
            self.drive.stop()
            for trial in ray.get(self.desk.withdraw.remote()):
                del self._out[trial]
                self.drive.finish(trial, Status.STOPPED, NO_PLACE)
        slips, no_more = self._proposed() if self.fault is None else ([], False)
        turn: Turn = ray.get(self.desk.put.remote(slips))
        for begun in turn.begun:
            self._at_work[begun.trial] = begun.lane
            self.lanes.at_work(begun.lane)
            self.drive.begun(begun.trial, begun.ago)
        faults = [fault for outcome in turn.done if (fault := self._told(outcome)) is not None]
        if faults:  # all the others have been told
            raise faults[0]
        if no_more and not self._out:
            self._ended = True
            self.desk.close.remote()
        return bool(turn.done)

    def _proposed(self) -> tuple[list[Slip], bool]:
        """What is to be put down, and whether the drive has no more."""
        lanes, slips = self.lanes.left, list[Slip]()
        took = self.drive.tally.seconds[-lanes:]
        ahead = lanes if took and max(took) < SHORT_SECONDS else 0
        while len(self._out) < lanes + ahead:
            name = str(next(self._numbers))
            work = self.drive.propose(name)
            if work is None or work == NO_MORE:
                return slips, work == NO_MORE
            slips.append(Slip(name, ray.cloudpickle.dumps(work)))
            self._out[name] = slips[-1]
        return slips, False

    def _told(self, outcome: Outcome) -> Exception | None:
        """Tell the drive what a trial ended with; why that could not be."""
        del self._out[outcome.trial]
        self._at_work.pop(outcome.trial, None)
        try:
            _finish(self.drive, outcome.trial, outcome.result)
        except Exception as fault:
            return fault
        return None

    def _lost(self, lane: Any) -> None:
        reason = _reason(lane)
        lost = ray.get(self.desk.lose.remote(lane.trial_id))
        if lost is None:
            if self.lanes.died(lane.trial_id) >= IDLE_CRASHES and not self._ended:
                self._give_up(lane.trial_id, reason)
            return
        self._at_work.pop(lost, None)
        if starved := is_short_of_memory(reason):
            self.drive.finish(lost, Status.FAILED, reason, starved=starved)
        elif self._crashes.too_many(ray.cloudpickle.loads(self._out[lost].work)):
            told = f"its process died {CRASHES + 1} times without a step saved in between: {reason}"
            self.drive.finish(lost, Status.FAILED, told)
        elif self.fault is not None:  # the desk is closed
            self.drive.finish(lost, Status.STOPPED, reason)
        else:
            ray.get(self.desk.put.remote([self._out[lost]]))
            return
        del self._out[lost]

    def _give_up(self, lane: str, reason: str) -> None:
        self.drive.say(self.lanes.give_up(lane, reason))
        self.drive.tally.concurrent = max(1, self.lanes.left)
        if not self.lanes.left:
            raise RunError(f"the processes that are to train keep dying, the last time because {reason}.")


class _Rests(FIFOScheduler):  # type: ignore[misc]
    """Lets lanes wait that died without a trial, and ends those that are given up."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__()
        self._lanes = lanes

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Whatever is still pending after this is started."""
        for lane in [lane for lane in tune_controller.get_trials() if lane.status == Trial.PENDING]:
            if self._lanes.given_up(lane.trial_id):
                tune_controller.stop_trial(lane)
            elif self._lanes.rests(lane.trial_id):
                tune_controller._set_trial_status(lane, Trial.PAUSED)
        paused = (lane for lane in tune_controller.get_trials() if lane.status == Trial.PAUSED)
        return next((lane for lane in paused if not self._lanes.rests(lane.trial_id)), None)


class _Ends(tune.Stopper):  # type: ignore[misc]
    """Ends everything at once when there is nothing more to wait for."""

    def __init__(self, over: Callable[[], bool]) -> None:
        self._over = over

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._over()


def _finish(drive: Drive, trial: str, result: dict[str, Any]) -> None:
    # Without an outcome it was the scheduler that ended the trial, between two evaluations.
    status = Status(result.get("outcome", Status.PRUNED))
    reason, trace = result.get("reason", ""), result.get("traceback", "")
    drive.finish(trial, status, reason, trace, starved=result.get("starved", False))


def _reason(trial: Any) -> str:
    """One line for what a process died of."""
    return str(trial.get_error() or "").strip().partition("\n")[0] or "its process died"


def _scheduler(sweep: Search) -> Any:
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

    def __init__(self, drive: Drive, stop: Callable[[], bool]) -> None:
        super().__init__()
        self._drive, self._stop = drive, stop

    def __getstate__(self) -> dict[str, Any]:  # a Tuner writes itself down when it is made
        return {}

    def suggest(self, trial_id: str) -> Any:
        if self._stop():  # while nothing is at work Tune asks, and asks nobody else, for ten minutes
            self._drive.stop()
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

    def __init__(self, drive: Drive, stop: Callable[[], bool], watch: Callable[[], object]) -> None:
        self._drive, self._stop, self._watch = drive, stop, watch

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._stop():
            self._drive.stop()
        self._watch()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._drive.begun(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        _finish(self._drive, trial.trial_id, trial.last_result or {})

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reason = _reason(trial)
        self._drive.finish(trial.trial_id, Status.FAILED, reason, starved=is_short_of_memory(reason))
