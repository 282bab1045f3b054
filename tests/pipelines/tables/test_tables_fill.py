"""Cells from the record: states, values, and how little is asked."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lab.errors import SpecError, UnknownName
from lab.origin import origin
from lab.settings import Settings
from lab.tracking.tracker import RunRecord, Scalar, Status, membership
from pipelines.tables import table6
from pipelines.tables.cell import Counted, Measured, Missing, Stage
from pipelines.tables.fill import fill
from pipelines.tables.select import BestOnTest, BestOnValidation, Last, Selection
from pipelines.tables.table import Column, ResultsTable, Row, measure
from tests.lab.toy import prepare_toy, toy_spec

CASE = "8 interleaved"


def filled(laboratory, sweep, case: str = CASE) -> Measured | Missing:
    (table,) = fill([table6.table(sweep)], laboratory.tracker)
    cell = table.cell(case, "top1")
    assert isinstance(cell, Measured | Missing)
    return cell


def test_a_cell_nobody_has_run_is_missing_and_says_what_fills_it(laboratory) -> None:
    cell = filled(laboratory, laboratory.sweep("table6"))
    assert isinstance(cell, Missing)
    assert str(cell.state) == "missing"
    assert cell.measurement.command == "lab sweep table6 --scale laptop"
    assert cell.price is None


def test_a_complete_cell_is_the_mean_of_its_seeds_in_percent(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.fill_case(sweep, CASE, [0.90, 0.92, 0.97])
    cell = filled(laboratory, sweep)
    assert isinstance(cell, Measured)
    assert cell.state.stage is Stage.COMPLETE
    assert cell.estimate.mean == pytest.approx(93.0)
    assert cell.estimate.n == 3
    assert [reading.digest for reading in cell.readings] == [spec.digest for spec in cell.measurement.specs]
    assert {reading.commit for reading in cell.readings} == {"c0ffee"}


def test_a_cell_that_lacks_a_seed_never_looks_complete(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.run(sweep, CASE, 0, 0.9)
    laboratory.run(sweep, CASE, 1, 0.1, status=Status.FAILED)
    cell = filled(laboratory, sweep)
    assert isinstance(cell, Measured)
    assert str(cell.state) == "incomplete 1/3"
    assert cell.state.why == "seed 1 failed, seed 2 not run"
    assert cell.by_seed == {0: pytest.approx(90.0)}


@pytest.mark.parametrize("status", [Status.FAILED, Status.STOPPED, Status.PRUNED, Status.RUNNING])
def test_only_complete_runs_count(laboratory, status: Status) -> None:
    sweep = laboratory.sweep("table6", seeds=(0,))
    laboratory.run(sweep, CASE, 0, 0.9, status=status)
    assert isinstance(filled(laboratory, sweep), Missing)


def test_a_cell_under_way_is_running_and_its_neighbours_wait(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.run(sweep, CASE, 0, 0.9)
    laboratory.run(sweep, CASE, 1, 0.5, status=Status.RUNNING)
    assert str(filled(laboratory, sweep).state) == "running 1/3"
    assert str(filled(laboratory, sweep, "8 at start").state) == "queued"
    laboratory.close(sweep)
    assert str(filled(laboratory, sweep, "8 at start").state) == "missing"


def test_dropping_a_seed_changes_the_state(laboratory) -> None:
    laboratory.fill_case(laboratory.sweep("table6", seeds=(0, 1)), CASE, [0.9, 0.91])
    assert filled(laboratory, laboratory.sweep("table6", seeds=(0, 1))).state.stage is Stage.COMPLETE
    assert str(filled(laboratory, laboratory.sweep("table6", seeds=(0, 1, 2))).state) == "incomplete 2/3"


def test_uncommitted_code_taints_a_cell(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    for seed in sweep.seeds:
        laboratory.run(sweep, CASE, seed, 0.9, tags={"dirty": "true" if seed == 1 else "false"})
    state = filled(laboratory, sweep).state
    assert (state.stage, state.why) == (Stage.TAINTED, "uncommitted changes in the code of seed 1")


@pytest.mark.parametrize(
    "tags", [{"commit": "unknown", "dirty": "unknown"}, {"commit": ""}, {"dirty": "unknown"}]
)
def test_code_outside_git_taints_a_cell(laboratory, tags: dict[str, str]) -> None:
    sweep = laboratory.sweep("table6")
    for seed in sweep.seeds:
        laboratory.run(sweep, CASE, seed, 0.9, tags=tags if seed else {})
    state = filled(laboratory, sweep).state
    assert (state.stage, state.why) == (Stage.TAINTED, "the code of seed 1, 2 is in no commit that is known")


def test_seeds_that_saw_different_data_taint_a_cell(laboratory, tmp_path) -> None:
    sweep = laboratory.sweep("table6", seeds=(0, 1))
    for seed in sweep.seeds:
        prepare_toy(tmp_path, edition=seed + 1)
        made_with = origin(toy_spec(), Settings("", "", "", data=str(tmp_path))) | {"dirty": "false"}
        laboratory.run(sweep, CASE, seed, 0.9, tags=made_with)
    assert filled(laboratory, sweep).state.why == "seeds saw different data: toy.1, toy.2"


def test_a_finished_run_without_the_metric_is_tainted_not_zero(laboratory) -> None:
    sweep = laboratory.sweep("table6", seeds=(0,))
    laboratory.run(sweep, CASE, 0, {"validation/top1": 0.9})
    cell = filled(laboratory, sweep)
    assert isinstance(cell, Missing)
    assert (cell.state.stage, cell.state.why) == (Stage.TAINTED, "seed 0 recorded no test/top1 (last)")


def test_a_value_that_is_no_number_is_named_and_left_out(laboratory) -> None:
    sweep = laboratory.sweep("table6", seeds=(0, 1))
    laboratory.fill_case(sweep, CASE, [0.9, float("nan")])
    cell = filled(laboratory, sweep)
    assert isinstance(cell, Measured)
    assert (cell.state.stage, cell.state.why) == (Stage.TAINTED, "seed 1 recorded test/top1 as nan")
    assert cell.by_seed == {0: pytest.approx(90.0)}


def test_a_run_of_an_older_specification_is_stale_and_says_what_changed(laboratory) -> None:
    old = laboratory.sweep("table6", seeds=(0,))
    laboratory.fill_case(old, CASE, [0.9])
    cell = filled(laboratory, laboratory.sweep("table6", seeds=(0,), changes={"batch_size": 32}))
    assert isinstance(cell, Measured)
    assert (cell.state.stage, cell.state.why) == (Stage.STALE, "batch_size was 1024, is 32")
    assert cell.state.lacking == 1


def test_a_run_that_was_made_before_its_sweep_found_it_can_be_outgrown_too(laboratory) -> None:
    old = laboratory.sweep("table6", seeds=(0,))
    spec = old.case(CASE).with_seed(0)
    run = laboratory.tracker.begin(spec, name="alone", owner="host:1:1", tags={"scale": "laptop"})
    laboratory.tracker.log(run.run_id, [Scalar("test/top1", 1, 0.9)])
    laboratory.tracker.end(run.run_id, Status.COMPLETE)
    laboratory.tracker.tag(run.run_id, {membership("table6", "laptop"): CASE})
    cell = filled(laboratory, laboratory.sweep("table6", seeds=(0,), changes={"batch_size": 32}))
    assert (cell.state.stage, cell.state.why) == (Stage.STALE, "batch_size was 1024, is 32")


def test_what_is_missing_is_priced_by_the_finished_runs_of_its_sweep(laboratory, monkeypatch) -> None:
    sweep = laboratory.sweep("table6")
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr("lab.tracking.memory.time.time", lambda: float(next(clock)))
    laboratory.fill_case(sweep, "1 at start", [0.9, 0.9, 0.9])
    monkeypatch.undo()
    took = {record.seconds for record in laboratory.tracker.runs()}
    assert len(took) == 1
    assert filled(laboratory, sweep).price == pytest.approx(3 * took.pop())


def test_an_unrelated_run_changes_nothing(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.fill_case(sweep, CASE, [0.9, 0.91, 0.92])
    before = fill([table6.table(sweep)], laboratory.tracker)
    laboratory.run(laboratory.sweep("table7", changes={"batch_size": 8}), "sharing", 0, 0.1)
    assert fill([table6.table(sweep)], laboratory.tracker) == before


class Counting:
    """A record that counts what is asked of it."""

    def __init__(self, tracker) -> None:
        self.tracker = tracker
        self.asked: list[str] = []

    def find(self, digests: Iterable[str]) -> dict[str, RunRecord]:
        self.asked.append("find")
        return self.tracker.find(digests)

    def parent(self, name: str, *, kind: str, scale: str) -> RunRecord | None:
        self.asked.append("parent")
        return self.tracker.parent(name, kind=kind, scale=scale)

    def runs(self, **wanted) -> list[RunRecord]:
        self.asked.append("runs")
        return self.tracker.runs(**wanted)

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        self.asked.append("history")
        return self.tracker.history(run_id, metric)


def test_two_full_tables_cost_one_query(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    for case in sweep.cases:
        laboratory.fill_case(sweep, case.label, [0.9, 0.91, 0.92])
    counting = Counting(laboratory.tracker)
    fill([table6.table(sweep), table6.table(sweep)], counting)  # type: ignore[arg-type]
    assert counting.asked == ["find"]


CURVES = {"validation/top1": [0.7, 0.9, 0.9, 0.8], "test/top1": [0.6, 0.80, 0.95, 0.85]}


@pytest.mark.parametrize(
    ("rule", "value", "step", "histories"),
    [(Last(), 85.0, None, 0), (BestOnValidation(), 80.0, 2, 2), (BestOnTest(), 95.0, 3, 1)],
)
def test_a_selection_rule_chooses_its_value_and_asks_only_for_the_curves_it_needs(
    laboratory, rule: Selection, value: float, step: int | None, histories: int
) -> None:
    sweep = laboratory.sweep("table6", seeds=(0,))
    laboratory.run(sweep, CASE, 0, CURVES)
    cell = measure(sweep, CASE, "test/top1", selection=rule)
    table = ResultsTable(
        "t", "T", "", sweep.name, sweep.scale, "", (Column("top1", "Top-1"),), (Row(CASE, (cell,)),)
    )
    counting = Counting(laboratory.tracker)
    (filled_table,) = fill([table], counting)  # type: ignore[arg-type]
    measured = filled_table.cell(CASE, "top1")
    assert isinstance(measured, Measured)
    assert measured.readings[0].value == pytest.approx(value)
    assert measured.readings[0].step == step
    assert counting.asked.count("history") == histories


def test_the_papers_own_rule_for_modelnet40_says_that_it_looks_at_the_test_split() -> None:
    assert "ModelNet40" in BestOnTest().caveat
    assert BestOnValidation().caveat == Last().caveat == ""


def test_a_case_or_a_split_the_sweep_does_not_have_is_refused_at_once(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    with pytest.raises(UnknownName, match="Did you mean '8 interleaved'"):
        measure(sweep, "8 interleavd", "test/top1")
    with pytest.raises(SpecError, match="never measures holdout/top1: add 'holdout'"):
        measure(sweep, CASE, "holdout/top1")


def test_a_laptop_number_is_never_compared_with_the_papers(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.fill_case(sweep, CASE, [0.780, 0.781, 0.779])
    cell = filled(laboratory, sweep)
    assert isinstance(cell, Measured)
    assert (cell.comparable, cell.difference, cell.verdict) == (False, None, "other scale")


@pytest.mark.parametrize(
    ("values", "verdict"), [([0.779, 0.780, 0.782], "agrees"), ([0.700, 0.701, 0.699], "differs")]
)
def test_a_paper_scale_number_is_compared_with_the_papers(laboratory, values, verdict: str) -> None:
    sweep = laboratory.sweep("table6", scale="paper")
    laboratory.fill_case(sweep, CASE, values)
    cell = filled(laboratory, sweep)
    assert isinstance(cell, Measured)
    assert cell.verdict == verdict
    assert cell.difference == pytest.approx(100 * sum(values) / 3 - 78.0)


def test_counted_cells_need_no_run(laboratory) -> None:
    table = table6.table(laboratory.sweep("table6"))
    cell = table.cell(CASE, "parameters")
    assert isinstance(cell, Counted)
    assert cell.at_paper_scale == 44_912_254
    assert cell.value == laboratory.sweep("table6").case(CASE).spec.model.parameters()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_is_no_number_is_never_the_best(split: str) -> None:
    curves = {f"{split}/top1": [(1, float("nan")), (2, 0.7), (3, 0.6)]}
    curves.setdefault("test/top1", [(1, 0.9), (2, 0.8), (3, 0.5)])
    record = RunRecord("r", "d", "n", Status.COMPLETE, 0, "", {})
    rule = BestOnValidation() if split == "validation" else BestOnTest()
    choice = rule.choose(record, "test/top1", lambda metric: curves[metric])
    assert choice == ((0.8, 2) if split == "validation" else (0.7, 2))
    nowhere = rule.choose(record, "test/top1", lambda metric: [(1, float("nan"))])
    assert nowhere is None
