"""`lab fill` and `lab audit`: the case that fills a cell, the runs that are drawn, the verdict on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from lab import Ablation, Case, Settings, Steps, catalog
from lab.commands.anew import Without, set_aside, unfit
from lab.commands.audit import Drawn, again, draw, resting, verdict
from lab.commands.fill import case_of, lacking, parts
from lab.errors import UnknownName
from lab.resources import Resources
from lab.spec import ExperimentSpec
from lab.tracking.memory import MemoryTracker
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import RunRecord, Scalar, Status
from lab.train.chain import FILE, TAG, Chain
from lab.train.checkpoint import Checkpoint, CheckpointStore
from pipelines.tables.fill import fill
from pipelines.tables.table import Column, ResultsTable, Row, measure
from tests.lab.toy import toy_spec


def stated(name: str) -> Any:
    sweep = catalog.sweep(name, "laptop")
    assert isinstance(sweep, Ablation)
    return catalog.package("tables").exhibits()[name].table(sweep)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("table6", ("table6", "", "")),
        ("table6 / 8 interleaved / top1", ("table6", "8 interleaved", "top1")),
        ("table6/8 interleaved/top1", ("table6", "8 interleaved", "top1")),
        ("table7 / W/ weight sharing / valid", ("table7", "W/ weight sharing", "valid")),
    ],
)
def test_a_cell_is_named_as_verify_names_it(name: str, expected: tuple[str, str, str]) -> None:
    assert parts(name) == expected


def test_a_cell_leads_to_the_case_that_fills_it() -> None:
    assert case_of(stated("table6"), "8 at start", "top1") == "8 at start"
    assert case_of(stated("table6"), "8 at start", "") == "8 at start"
    table2 = stated("table2")
    raw, permuted = (case_of(table2, "ResNet (FF)", column) for column in ("raw", "permuted"))
    assert raw != permuted
    with pytest.raises(UnknownName, match="is several cells: name one of table2 / ResNet"):
        case_of(table2, "ResNet (FF)", "")
    with pytest.raises(UnknownName, match="Did you mean 'table6 / 8 at start / top1'"):
        case_of(stated("table6"), "8 at strat", "top1")


def toys() -> Ablation:
    short = toy_spec(duration=Steps(8))
    return Ablation(
        "toys", "laptop", (Case("a", short), Case("b", short.override({"batch_size": 5}))), (0, 1)
    )


def table(sweep: Ablation) -> ResultsTable:
    rows = tuple(Row(case.label, (measure(sweep, case.label, "test/top1"),)) for case in sweep.cases)
    return ResultsTable("toys", "Toys", "", "toys", "laptop", "", (Column("top1", "Top-1"),), rows)


def record(sweep: Ablation, value: float = 0.5) -> MemoryTracker:
    tracker = MemoryTracker()
    for _, spec in sweep.specs():
        run = tracker.begin(spec, name="toys", owner="here:1:0", tags={})
        tracker.log(run.run_id, [Scalar("test/top1", 8, value)])
        tracker.end(run.run_id, Status.COMPLETE)
    return tracker


def asked(sweep: Ablation, *cases: str, seeds: tuple[int, ...] | None = None) -> ResultsTable:
    """A table with a cell for each of these cases, for other seeds than the sweep's if wanted."""
    of = replace(sweep, seeds=seeds or sweep.seeds)
    rows = tuple(Row(case, (measure(of, case, "test/top1"),)) for case in cases)
    return ResultsTable("toys", "Toys", "", "toys", "laptop", "", (Column("top1", "Top-1"),), rows)


def pairs(parts: list[Ablation]) -> set[tuple[str, int]]:
    return {(case.label, spec.seed) for part in parts for case, spec in part.specs()}


def test_a_table_lacks_the_cases_and_seeds_that_its_cells_ask_for_and_no_others() -> None:
    """The sweep has two cases and two seeds."""
    assert pairs(lacking(asked(toys(), "a"), toys(), None, MemoryTracker())) == {("a", 0), ("a", 1)}
    assert pairs(lacking(asked(toys(), "a", "b"), toys(), "b", MemoryTracker())) == {("b", 0), ("b", 1)}
    only_one = asked(toys(), "b", seeds=(1,))
    assert pairs(lacking(only_one, toys(), None, MemoryTracker())) == {("b", 1)}


def test_cells_that_ask_for_different_seeds_are_filled_each_with_theirs() -> None:
    whole, half = asked(toys(), "a"), asked(toys(), "b", seeds=(1,))
    both = replace(whole, rows=whole.rows + half.rows)
    assert pairs(lacking(both, toys(), None, MemoryTracker())) == {("a", 0), ("a", 1), ("b", 1)}


def test_what_is_complete_is_not_lacking() -> None:
    tracker = record(replace(toys(), cases=toys().cases[:1]))
    assert {case for case, _ in pairs(lacking(asked(toys(), "a", "b"), toys(), None, tracker))} == {"b"}
    assert lacking(asked(toys(), "a"), toys(), None, tracker) == []


CLEAN = {"commit": "c" * 40, "dirty": "false", "fingerprint": "toy"}


def settled(tmp_path: Path, *tags: dict[str, str]) -> tuple[MemoryTracker, Settings, list[ExperimentSpec]]:
    """A complete run with each of these tags, of as many seeds, with a checkpoint."""
    settings = Settings("", "", str(tmp_path / "checkpoints"), str(tmp_path / "data"))
    tracker, specs = MemoryTracker(), [toy_spec(seed=seed) for seed in range(len(tags))]
    for spec, of in zip(specs, tags, strict=True):
        run = tracker.begin(spec, name="toys", owner="here:1:0", tags=of)
        tracker.log(run.run_id, [Scalar("test/top1", 8, 0.5)])
        tracker.end(run.run_id, Status.COMPLETE)
        CheckpointStore(settings.storage, spec.digest).save(Checkpoint(8, {"w": torch.ones(1)}, {}))
    return tracker, settings, specs


def test_runs_are_unfit_whose_code_no_commit_holds_or_whose_data_are_gone(tmp_path: Path) -> None:
    ways = (CLEAN, CLEAN | {"dirty": "true"}, CLEAN | {"commit": "unknown"}, CLEAN | {"fingerprint": "old"})
    tracker, settings, specs = settled(tmp_path, *ways)
    reasons = unfit(specs, tracker, settings)
    assert set(reasons) == {spec.digest for spec in specs[1:]}
    told = [reasons[spec.digest] for spec in specs[1:]]
    for why, words in zip(
        told, ("uncommitted", "no commit that is known", "was made from toy old"), strict=True
    ):
        assert words in why


def test_what_is_set_aside_is_lacking_and_begins_without_its_old_weights(tmp_path: Path) -> None:
    tracker, settings, specs = settled(tmp_path, CLEAN, CLEAN | {"dirty": "true"})
    reasons = unfit(specs, tracker, settings)
    assert Without(tracker, reasons).find([spec.digest for spec in specs]).keys() == {specs[0].digest}
    assert len(tracker.runs()) == 2, "to look changes nothing"
    set_aside(reasons, tracker, settings)
    assert [run.digest for run in tracker.runs()] == [specs[0].digest]
    assert [why for _, why in tracker.retired.values()] == [reasons[specs[1].digest]]
    steps = [CheckpointStore(settings.storage, spec.digest).steps() for spec in specs]
    assert steps == [[8], []]


def test_every_run_that_a_cell_rests_on_can_be_drawn_and_the_seed_decides() -> None:
    tracker = record(toys())
    found = list(resting(fill([table(toys())], tracker), tracker))
    assert {one.run.digest for one in found} == {spec.digest for _, spec in toys().specs()}
    assert {cell for one in found for cell in one.cells} == {"toys / a / top1", "toys / b / top1"}
    assert draw(found, 3) == draw(list(resting(fill([table(toys())], tracker), tracker)), 3)
    orders = {tuple(one.run.digest for one in draw(found, seed)) for seed in range(8)}
    assert len(orders) > 1


def drawn(value: float) -> Drawn:
    run = RunRecord("r", "d", "n", Status.COMPLETE, 0, "", {"test/top1": value})
    return Drawn(run, toy_spec(), ["toys / a / top1"], {"test/top1"})


def chain(loss: float) -> str:
    made = Chain("d", "toy")
    made.add(1, (0, 1), "loss", loss)
    return made.text({})


def test_the_verdict_is_to_the_bit_where_chains_agree_and_by_tolerance_where_not() -> None:
    now = drawn(0.505).run
    assert verdict(drawn(0.5), now, (chain(0.1), chain(0.1)), 0.0) == (
        True,
        "the same to the last bit, in 1 links",
    )
    same, words = verdict(drawn(0.5), now, (chain(0.1), chain(0.2)), 0.01)
    assert same
    assert words.startswith("within 0.01: test/top1 0.505 was 0.5; they part at step 1")
    assert verdict(drawn(0.5), now, (None, chain(0.2)), 0.001)[0] is False


def test_a_chain_on_record_that_was_cut_short_is_not_the_same() -> None:
    whole, cut = Chain("d", "f"), Chain("d", "f")
    for step in (1, 2):
        whole.add(step, (0, step), "loss", 0.1)
    cut.add(1, (0, 1), "loss", 0.1)
    same, words = verdict(drawn(0.5), drawn(0.5).run, (cut.text({}), whole.text({})), 0.0)
    assert (same, "its chain on record has 1 links and not 2" in words) == (True, True), words
    assert "to the last bit" not in words


@pytest.mark.slow
def test_a_run_that_is_trained_again_is_the_same_to_the_last_bit_and_an_altered_one_is_not(
    tmp_path: Path,
) -> None:
    from lab.run import run_one

    settings = Settings.load({}, home=tmp_path)
    tracker = MlflowTracker(settings)
    spec = toy_spec(duration=Steps(8))
    run = run_one(spec, name="toy", scale="laptop", resources=Resources(), settings=settings, tracker=tracker)
    one = Drawn(run, spec, ["toys / a / top1"], {"validation/top1"})
    same, words = again(one, tracker, settings, Resources(), 0.0)
    assert (same, words.startswith("the same to the last bit")) == (True, True), words
    text = tracker.text(run.run_id, FILE)
    assert text is not None
    honest, forged = Chain.read(text), Chain.read(text)
    forged.links = []
    for link in honest.links:
        last = (link.step, link.kind) == (8, "validation/top1")
        forged.add(link.step, (link.epoch, link.start), link.kind, (2.0).hex() if last else link.value)
    (tmp_path / FILE).write_text(forged.text({}))
    tracker.attach(run.run_id, tmp_path / FILE)
    tracker.tag(run.run_id, {TAG: forged.head})
    lying = Drawn(
        cast(RunRecord, tracker.find([spec.digest])[spec.digest]), spec, one.cells, {"validation/top1"}
    )
    assert "they part at step 8" in again(lying, tracker, settings, Resources(), 0.0)[1]
