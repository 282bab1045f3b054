"""Whatever befalls a run, it continues or ends with a reason, and its record says which."""

import signal

import pytest

from lab import Evaluation, Resources, Steps
from lab.errors import Diverged, OutOfMemory, RunError
from lab.run import run_one
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import Status
from tests.lab.failing import WatchedData, each_time_saved, once_saved, settings_in, strike
from tests.lab.toy import ToyData, toy_spec

pytestmark = [pytest.mark.usefixtures("local_ray"), pytest.mark.slow]

WATCHED = toy_spec(data=WatchedData(), duration=Steps(1200), evaluation=Evaluation(every=Steps(400)))


class Lab:
    """One record and one storage, for commands one after the other."""

    def __init__(self, folder):
        self.settings = settings_in(str(folder), f"sqlite:///{folder}/record.db", patience=8)
        self.tracker = MlflowTracker(self.settings)

    def train(self, spec, workers=2):
        return run_one(
            spec, name="toy", scale="laptop", resources=Resources(workers=workers, cpus=0.5),
            settings=self.settings, tracker=self.tracker,
        )  # fmt: skip

    def on_record(self, spec):
        return self.tracker.find([spec.digest])[spec.digest]

    def curve(self, spec, metric):
        return self.tracker.history(self.on_record(spec).run_id, metric)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.mark.parametrize(
    ("workers", "number"),
    [(2, signal.SIGKILL), (2, signal.SIGSTOP), (1, signal.SIGSTOP)],
    ids=["killed", "hung", "hung-alone"],
)
def test_a_worker_that_dies_or_hangs_is_replaced_and_the_record_shows_one_whole_run(
    lab, workers, number, capsys
):
    with once_saved(lab.settings, WATCHED, lambda: strike(lab.settings, number)) as victims:
        run = lab.train(WATCHED, workers)
    assert victims
    assert "lost its workers: worker" in capsys.readouterr().out
    assert (run.status, run.attempts, run.tags.get("reason")) == (Status.COMPLETE, 1, None)
    assert [step for step, _ in lab.curve(WATCHED, "validation/top1")] == [400, 800, 1200]
    assert [step for step, _ in lab.curve(WATCHED, "train/loss")] == list(range(12, 1201, 12))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_without_memory_fails_the_run_at_once_with_what_to_do(lab, workers):
    spec = toy_spec(data=WatchedData(starving=True), duration=Steps(100))
    with pytest.raises(OutOfMemory, match=r"can't allocate memory.*: use --micro-batch auto") as told:
        lab.train(spec, workers)
    run = lab.on_record(spec)
    assert (run.status, run.tags["reason"]) == (Status.FAILED, str(told.value))
    assert "\n" not in str(told.value)


def test_a_loss_that_is_no_number_fails_the_run_with_the_verdict_on_record(lab):
    spec = toy_spec(data=ToyData(poison=True))
    with pytest.raises(Diverged):
        lab.train(spec, 1)
    run = lab.on_record(spec)
    assert run.status is Status.FAILED
    assert run.tags["reason"].startswith("the loss is nan at step 1 (optimizer.lr is 0.01): lower")


def test_a_worker_that_dies_at_the_same_place_for_ever_fails_the_run_with_how_often_it_was_tried(lab):
    spec = toy_spec(data=WatchedData(mortal=True), duration=Steps(100))
    with pytest.raises(RunError, match=r"lost 4 times without a step saved in between, .* worker 0 died"):
        lab.train(spec, 1)
    run = lab.on_record(spec)
    assert (run.status, run.attempts) == (Status.FAILED, 1)
    assert "lost 4 times" in run.tags["reason"]


def test_a_run_that_gets_on_between_the_deaths_of_its_workers_is_started_again_as_often_as_it_takes(
    lab, capsys
):
    spec = toy_spec(data=WatchedData(pause=0.02), duration=Steps(1500))
    with each_time_saved(lab.settings, spec, 5) as victims:
        run = lab.train(spec, 1)
    assert run.status is Status.COMPLETE
    assert capsys.readouterr().out.count("lost its workers") == len(victims) == 5
