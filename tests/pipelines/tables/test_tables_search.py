"""What a search came to: fronts, what decided, and the winners on fresh seeds."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from scipy import stats

from lab import Confirm, Search
from lab.search.agenda import CONFIRMS
from lab.search.importance import FEWEST, importances
from lab.tracking.tracker import Scalar, Status, membership
from pipelines.tables import render, searched
from pipelines.tables.searchplots import panels

LATENTS = (2, 4, 6, 8, 10, 12, 14, 16)


def run(laboratory: Any, parent: str, spec: Any, label: str, value: float) -> str:
    tags = {membership("size", "laptop"): label}
    made = laboratory.tracker.begin(spec, name=label, owner="host:1:1", tags=tags, parent=parent)
    laboratory.tracker.log(
        made.run_id, [Scalar("validation/top1", 1, value), Scalar("pace/peak_memory_bytes", 1, 1e8)]
    )
    laboratory.tracker.end(made.run_id, Status.COMPLETE)
    return str(made.digest)


@pytest.fixture
def search(laboratory: Any) -> Search:
    """Trials that are better the larger they are, up to 12 latents; the best two confirmed by seeds 1 to 3,
    with which they score less."""
    base = laboratory.sweep("table7").cases[0].spec
    found = Search(
        "size", "laptop", base, lambda suggest: {}, trials=8, confirm=Confirm(best=2, seeds=(1, 2, 3))
    )
    parent = laboratory.tracker.group("size", kind="search", scale="laptop", owner="host:1:1").run_id
    for number, latents in enumerate(LATENTS):
        spec = base.override({"model.num_latents": latents, "optimizer.lr": 0.001 * (1 + number % 3)})
        value = 0.8 + 0.01 * latents - 0.03 * max(0, latents - 12)
        run(laboratory, parent, spec, str(number), value)
        if latents in (10, 12):
            for seed in (1, 2, 3):
                fresh = spec.override({"seed": seed})
                run(laboratory, parent, fresh, f"{CONFIRMS}{number}", value - 0.02 * seed)
    return found


def test_winners_show_what_they_were_selected_on_and_the_mean_of_fresh_seeds(
    laboratory: Any, search: Search
) -> None:
    (result,) = searched(laboratory.tracker, {"size": search})
    assert len(result.trials) == 8, "what confirms is no trial"
    best, second = result.confirmed
    assert (best.trial.choices["model.num_latents"], second.trial.choices["model.num_latents"]) == (12, 10)
    assert best.trial.score == pytest.approx(92)
    fresh = np.array([90.0, 88.0, 86.0])
    assert best.fresh is not None
    assert best.fresh.mean == pytest.approx(fresh.mean())
    half = stats.t.ppf(0.975, 2) * fresh.std(ddof=1) / np.sqrt(3)
    assert best.fresh.half_width == pytest.approx(half)
    text = render([], "html", [result])
    assert "configurations tried" in text
    assert "88.0 ± 5.0 · n=3" in text


def test_winners_that_have_not_been_run_again_say_so(laboratory: Any, search: Search) -> None:
    (result,) = searched(laboratory.tracker, {"size": replace(search, confirm=Confirm(4, (1, 2, 3)))})
    assert [winner.fresh is None for winner in result.confirmed] == [False, False, True, True]
    assert "not yet" in render([], "html", [result])


def test_the_front_is_what_nothing_beats_in_score_and_flops(laboratory: Any, search: Search) -> None:
    """The more latents the more FLOPs, and beyond 12 the worse."""
    (result,) = searched(laboratory.tracker, {"size": search})
    assert [trial.choices["model.num_latents"] for trial in result.front] == [12, 10, 8, 6, 4, 2]
    pareto = replace(search, costs=("flops",), pruning=None)
    (result,) = searched(laboratory.tracker, {"size": pareto})
    assert [winner.trial.choices["model.num_latents"] for winner in result.confirmed] == [12, 10]


def test_every_cost_has_a_panel_with_its_front_and_every_field_its_importance(
    laboratory: Any, search: Search
) -> None:
    (result,) = searched(laboratory.tracker, {"size": search})
    drawn = {panel.title: panel.drawing for panel in panels(result)}
    for cost in ("FLOPs per example", "parameters", "peak memory in bytes"):
        assert drawn[f"Score against {cost}"].count('class="mark') == 8
    corners = re.search(r'points="([^"]*)" class="curve s2"', drawn["Score against FLOPs per example"])
    assert corners is not None
    assert len(corners[1].split()) == 1 + 2 * 5, "two corners for each step between six trials"
    assert drawn["What decided the score"].count('class="value"') == 2 * 2


def test_importance_is_what_optuna_makes_of_the_same_trials() -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    rows, values = [], []
    for _ in range(40):
        trial = study.ask()
        row = {"x": trial.suggest_float("x", 0, 1), "y": trial.suggest_int("y", 0, 9),
               "z": trial.suggest_categorical("z", ["a", "b"])}  # fmt: skip
        rows.append(row)
        values.append(5 * row["x"] + (row["z"] == "a"))
        study.tell(trial, values[-1])
    low, high = (f(row["x"] for row in rows) for f in (min, max))
    narrowed = optuna.create_study(direction="maximize")
    for row, value in zip(rows, values, strict=True):
        narrowed.add_trial(
            optuna.trial.create_trial(
                value=value,
                params=row | {"z": f'"{row["z"]}"'},
                distributions={
                    "x": optuna.distributions.FloatDistribution(low, high),
                    "y": optuna.distributions.IntDistribution(0, 9),
                    "z": optuna.distributions.CategoricalDistribution(['"a"', '"b"']),
                },
            )
        )
    evaluators = (
        optuna.importance.FanovaImportanceEvaluator(seed=0),
        optuna.importance.PedAnovaImportanceEvaluator(),
    )
    fanova, ped = (optuna.importance.get_param_importances(narrowed, evaluator=e) for e in evaluators)
    found = importances(rows, values, maximize=True)
    assert found[0].field == "x"
    assert {each.field: each.fanova for each in found} == pytest.approx(dict(fanova))
    assert {each.field: each.ped_anova for each in found} == pytest.approx(dict(ped))


def test_few_trials_and_fields_that_do_not_vary_say_nothing() -> None:
    rows = [{"x": n, "same": 1} for n in range(FEWEST)]
    assert importances(rows[1:], list(range(FEWEST - 1)), maximize=True) == ()
    assert importances(rows, [0.5] * FEWEST, maximize=True) == ()
    assert [each.field for each in importances(rows, list(range(FEWEST)), maximize=True)] == ["x"]
