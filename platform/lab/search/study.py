"""The trials of a search so far, and which of them are the best."""

from __future__ import annotations

from collections.abc import Sequence

from lab.search.front import front
from lab.search.suggest import Suggestion, suggest
from lab.search.trial import Trial
from lab.sweep import Search


class Study:
    """The trials of a search so far. Whoever asks and tells here writes down what comes back.

    warm: finished runs of other sweeps that it began with."""

    def __init__(self, search: Search, trials: Sequence[Trial] = (), warm: Sequence[Trial] = ()) -> None:
        self.search, self.warm = search, tuple(warm)
        self.trials = {trial.number: trial for trial in trials}

    def ask(self) -> Suggestion | None:
        """The next suggestion, or None once there are `search.total` of them. Raises SpecError."""
        number = len(self.trials)
        if number >= self.search.total:
            return None
        suggestion = suggest(self.search, number, list(self.trials.values()), self.warm)
        self.trials[number] = suggestion.trial
        return suggestion

    def keep(self, trial: Trial) -> Trial:
        """Put a trial that has a digest or a result in the place of what was known of it."""
        self.trials[trial.number] = trial
        return trial

    @property
    def ranked(self) -> list[Trial]:
        """The complete trials, best first and the first of equals first; of a Pareto search its front
        alone. Configurations that were tried twice are ranked once."""
        sign = -1 if self.search.direction == "maximize" else 1
        done: dict[object, Trial] = {}
        for trial in sorted(self.trials.values(), key=lambda trial: trial.number):
            if trial.outcome == "complete":
                done.setdefault(trial.digest or trial.number, trial)
        trials = list(done.values())
        if self.search.costs:
            points = [(sign * (t.value or 0.0), *t.costs) for t in trials]
            trials = [trials[place] for place in front(points)]
        return sorted(trials, key=lambda trial: (sign * (trial.value or 0.0), trial.costs, trial.number))

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best value, the first of equals."""
        return next(iter(self.ranked), None)
