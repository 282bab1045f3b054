"""How one process of many takes a run: by a parameter that nobody can write twice.

A call that got no answer may have arrived all the same. Whoever repeats it meets its own claim, or its own
new run without one, and goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lab.errors import RecordError, RunTaken, TrackingUnreachable
from lab.tracking import layout
from lab.tracking.found import Found
from lab.tracking.found import found as found_in
from lab.tracking.lease import taken
from lab.tracking.leases import Leases
from lab.tracking.once import standing
from lab.tracking.tracker import Status

TRIES = 10
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Wanted:
    """The one run whose tag `key` is `value`. tags, params: what it gets · again: wanted even if it is
    complete."""

    key: str
    value: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    title: str
    owner: str
    again: bool


class Claims:
    """client: of the tracker, with its faults told as ours · pages(clauses): the runs for which they hold,
    oldest first · write(run_id, params=, tags=): in as few calls as it takes."""

    def __init__(
        self,
        client: Any,
        experiment_id: str,
        leases: Leases,
        pages: Callable[[Sequence[str]], Iterable[Any]],
        write: Callable[..., None],
        *,
        known: Callable[[str, str], set[str] | None] = lambda key, value: None,
    ) -> None:
        """known(key, value): the runs with that tag where a look costs little, None where it would not."""
        self._client, self._experiment_id, self._leases = client, experiment_id, leases
        self._pages, self._write, self._known = pages, write, known
        self._unanswered: set[str] = set()
        """what this process asked for and got no answer about"""

    def acquire(self, wanted: Wanted) -> Found:
        """The one run that is wanted, under a lease of its owner. Raises RunTaken, and TrackingUnreachable,
        after which the same call may be repeated."""
        try:
            found = self._acquire(wanted)
        except TrackingUnreachable:
            self._unanswered.add(wanted.value)
            raise
        self._unanswered.discard(wanted.value)
        return found

    def _acquire(self, wanted: Wanted) -> Found:
        for _ in range(TRIES):
            known = self.standing(wanted.key, wanted.value)
            if known is None:
                took = self._first(self._create(wanted), wanted)
            elif known.record.status is Status.COMPLETE and not wanted.again:
                return known
            elif not layout.held(known.record, known.lease, known.claimed):
                took = self._take(known, wanted)
            elif wanted.value in self._unanswered and known.lease.owner == wanted.owner:
                took = self._resume(known, wanted)
            else:
                raise RunTaken(taken(known.record.name, known.lease.owner))
            if took is not None:
                return took
        raise RunTaken(f"{wanted.title}: other processes keep taking it, repeat this command.")

    def standing(self, key: str, value: str) -> Found | None:
        """The run that stands for that value of the tag."""
        if self._known(key, value) == set():
            return None
        runs = [run for run in self._pages([clause(key, value)]) if not layout.is_void(run.data.params)]
        if not runs:
            return None
        beats = self._leases.beats()
        return min((found_in(run, beats) for run in runs), key=lambda found: standing(found.record))

    def clear(self, run: Any) -> bool:
        """Delete a run that its dead maker did not live to claim, or to delete itself; nothing was ever
        written to it. False where it was claimed."""
        void = layout.is_void(run.data.params)
        if not void and (layout.attempts(run.data.params) or not self._void(run.info.run_id)):
            return False
        self._client.delete_run(run.info.run_id)
        return True

    def _create(self, wanted: Wanted) -> Any:
        now = time.time()
        state = {wanted.key: wanted.value, layout.STATUS: Status.RUNNING.value, layout.ATTEMPTS: "1"}
        lease = {layout.OWNER: wanted.owner, layout.BEAT: f"{now:.3f}"}
        return self._client.create_run(
            self._experiment_id,
            start_time=int(now * 1000),
            tags={**wanted.tags, **state, **lease},
            run_name=wanted.title,
        )

    def _first(self, run: Any, wanted: Wanted) -> Found | None:
        """A new run with its first claim, or None where another process was first."""
        mine = run.info.run_id
        alone = self._known(wanted.key, wanted.value) == {mine}
        rivals = [
            r
            for r in ([] if alone else self._pages([clause(wanted.key, wanted.value)]))
            if r.info.run_id != mine and not layout.is_void(r.data.params)
        ]
        yields = any(
            layout.must_yield(_age(run), _age(rival), rival.data.params) or not self._void(rival.info.run_id)
            for rival in rivals
        )
        if not yields and (found := self._claim(mine, 1, wanted)) is not None:
            for rival in rivals:
                if rival.data.tags.get(layout.OWNER) == wanted.owner:  # made by a call that was sent twice
                    self._client.delete_run(rival.info.run_id)
            return found
        self._client.delete_run(mine)
        return None

    def _resume(self, known: Found, wanted: Wanted) -> Found | None:
        """Go on after a call that got no answer."""
        if known.attempts == 0:
            return self._first(self._client.get_run(known.record.run_id), wanted)
        return self._enter(known, known.attempts, wanted)

    def _void(self, run_id: str) -> bool:
        """Take the first claim of a run so that it never counts; False if its maker has claimed it."""
        if self._write_once(run_id, {layout.claim(1): layout.VOID}) is not None:
            return True
        return bool(self._client.get_run(run_id).info.lifecycle_stage == "deleted")

    def _take(self, known: Found, wanted: Wanted) -> Found | None:
        """An unfinished or grown run for one more attempt, or None where another process was first."""
        attempt = known.attempts + 1
        if layout.under_way(known.record, known.claimed):
            self._leases.mark({known.lease.owner} - {wanted.owner})
        if self._claim(known.record.run_id, attempt, wanted) is None:
            return None
        return self._enter(known, attempt, wanted)

    def _enter(self, known: Found, attempt: int, wanted: Wanted) -> Found:
        """Put a run that is claimed for one more attempt under way."""
        run_id = known.record.run_id
        state = {layout.STATUS: Status.RUNNING.value, layout.ATTEMPTS: str(attempt)}
        state |= {layout.OWNER: wanted.owner, layout.BEAT: f"{time.time():.3f}"}
        if known.record.status is Status.RUNNING and attempt > known.attempts:
            state |= known.worked()
        held = self._client.get_run(run_id).data.tags
        self._write(run_id, tags=layout.continued(held, wanted.tags) | state)
        self._client.update_run(run_id, status="RUNNING")
        return found_in(self._client.get_run(run_id))

    def _claim(self, run_id: str, attempt: int, wanted: Wanted) -> Found | None:
        """The run under the claim of its owner, or None where somebody else has it."""
        mine = {layout.claim(attempt): layout.claimed(wanted.owner, time.time())}
        return self._write_once(run_id, mine, wanted.params)

    def _write_once(
        self, run_id: str, claim: Mapping[str, str], params: Mapping[str, str] = NOTHING
    ) -> Found | None:
        """Set a parameter that nobody else can set any more, and others with it; None if somebody has."""
        try:
            self._write(run_id, params={**claim, **params})
        except TrackingUnreachable:
            raise
        except RecordError:
            pass
        run = self._client.get_run(run_id)
        return found_in(run) if all(run.data.params.get(n) == text for n, text in claim.items()) else None


def _age(run: Any) -> tuple[float, str]:
    return run.info.start_time, run.info.run_id


def clause(name: str, value: str | None) -> str:
    """The filter for a tag of that value, None for any."""
    if value is None:
        return f"tags.`{name}` LIKE '%'"
    quote = '"' if "'" in value else "'"
    return f"tags.`{name}` = {quote}{value}{quote}"
