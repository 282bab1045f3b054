"""What became of the jobs of a sweep: told to its agenda, counted in its tally, and marked in the record as
of this sweep."""

from __future__ import annotations

from dataclasses import replace

from lab.agenda import Agenda, Job
from lab.origin import require_same_data
from lab.search.trial import Trial
from lab.settings import Settings
from lab.sweep import Search, Sweep
from lab.tally import Tally
from lab.tracking.tracker import RunRecord, Status, Tracker, membership

OBJECTIVE = "validation/top1"
"""what the progress of an ablation is told by"""


class Books:
    """The settled jobs of one command's way through a sweep; those that had ended before are counted from the
    beginning. runs: digest -> its run."""

    def __init__(self, sweep: Sweep, agenda: Agenda, tracker: Tracker, settings: Settings) -> None:
        self.agenda, self.tracker, self.settings = agenda, tracker, settings
        search = sweep if isinstance(sweep, Search) else None
        self.member = membership(sweep.name, sweep.scale)
        self.objective = search.objective if search else OBJECTIVE
        self.tally = Tally(agenda.total, self.objective, search.direction if search else "maximize")
        self.runs: dict[str, RunRecord] = {}
        self._recall()

    def _recall(self) -> None:
        found = self.tracker.find(trial.digest for trial in self.agenda.ended if trial.digest)
        for ended in self.agenda.ended:
            if ended.digest in found:
                self._enlist(found[ended.digest], str(ended.number))
                self.runs[ended.digest] = found[ended.digest]
                self.tally.add(replace(found[ended.digest], status=Status(ended.outcome)), None)

    def require_same_data(self) -> None:
        """Raise DataChanged where a run of this sweep was made from other bytes than are prepared now."""
        specs = {spec.digest: spec for spec in self.agenda.known()}
        for digest, run in self.tracker.find(specs).items():
            require_same_data(run, specs[digest], self.settings)

    def on_record(self, job: Job) -> bool:
        """Whether the record has what a job wants; it is settled then. Raises DataChanged."""
        run = self.tracker.find([job.spec.digest]).get(job.spec.digest)
        if run is None:
            return False
        require_same_data(run, job.spec, self.settings)
        if run.status is not Status.COMPLETE:
            return False
        self._enlist(run, job.label)
        self.settle(job, run, None)
        return True

    def repeated(self, job: Job) -> Trial | None:
        """The trial of the same experiment that this search has pruned, if there is one: the job is settled
        with what that had measured by then, whatever has become of the run since."""
        earlier = self.agenda.pruned_before(job)
        run = self.tracker.find([job.spec.digest]).get(job.spec.digest) if earlier else None
        if earlier is None or run is None:
            return None
        self.agenda.repeat(job, earlier)
        self.runs[run.digest] = run
        self.tally.add(replace(run, status=Status.PRUNED), None, ranks=job.ranks)
        return earlier

    def settle(self, job: Job, run: RunRecord, seconds: float | None) -> None:
        """seconds: that it took now, None for what this command did not train."""
        self.agenda.settle(job, run)
        self.runs[run.digest] = run
        self.tally.add(run, seconds, ranks=job.ranks)

    def _enlist(self, run: RunRecord, label: str) -> None:
        """Note that the run is of this sweep too, whoever made it."""
        if self.member not in run.tags:
            self.tracker.tag(run.run_id, {self.member: label})
