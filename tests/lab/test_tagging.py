"""Several classes per example: the loss, and mean average precision as scikit-learn computes it."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from lab import Classification, Epochs, Evaluation, Tagging
from lab.errors import DataError, SpecError
from lab.tasks import Ranking
from tests.lab.test_train_loop import run
from tests.lab.toy import ToyData, toy_spec

TASK = Tagging()


def by_hand(truth, scores):
    """Average precision from its definition: the precision at each positive, where no two scores tie."""
    ordered = truth[np.argsort(-scores)]
    precision = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return float(precision[ordered == 1].mean())


def drawn(examples=40, classes=7, seed=0):
    random = np.random.default_rng(seed)
    return random.random((examples, classes)), (random.random((examples, classes)) < 0.3).astype(np.float32)


def ranked(scores, targets):
    return TASK.ranked(torch.from_numpy(scores), torch.from_numpy(targets))


def test_a_known_ranking_has_the_precision_worked_out_on_paper():
    """Positives at the ranks 1 and 3 of 4: (1/1 + 2/3) / 2."""
    found = ranked(np.array([[0.9], [0.8], [0.7], [0.1]]), np.array([[1.0], [0.0], [1.0], [0.0]]))
    assert found == {"map": pytest.approx(5 / 6), "map_classes": 1}


def test_mean_average_precision_is_the_mean_over_classes_of_their_definition():
    scores, targets = drawn()
    expected = np.mean([by_hand(truth, score) for truth, score in zip(targets.T, scores.T, strict=True)])
    assert ranked(scores, targets)["map"] == pytest.approx(expected, abs=1e-12)


def test_it_is_what_scikit_learn_says_of_the_whole_matrix_and_not_of_its_transpose():
    """The first version of the paper reported the transpose (appendix F)."""
    scores, targets = drawn(examples=30, classes=30)
    found = ranked(scores, targets)["map"]
    assert found == pytest.approx(average_precision_score(targets, scores, average="macro"))
    assert found != pytest.approx(average_precision_score(targets.T, scores.T, average="macro"), abs=1e-3)


def test_ties_are_counted_as_scikit_learn_counts_them():
    scores, targets = drawn()
    scores = np.round(scores, 1)
    assert ranked(scores, targets)["map"] == pytest.approx(average_precision_score(targets, scores))


def test_classes_without_a_positive_example_are_left_out_and_counted():
    scores, targets = drawn()
    targets[:, [2, 5]] = 0
    kept = [0, 1, 3, 4, 6]
    expected = np.mean([by_hand(targets[:, k], scores[:, k]) for k in kept])
    assert ranked(scores, targets) == {"map": pytest.approx(expected), "map_classes": 5}


def test_a_split_without_any_positive_is_refused():
    with pytest.raises(DataError, match="no class has a positive example"):
        ranked(np.zeros((3, 2)), np.zeros((3, 2), np.float32))


def test_the_loss_is_the_sum_over_classes_of_binary_cross_entropies():
    logits, targets = np.array([[2.0, -1.0, 0.5]]), np.array([[1.0, 0.0, 0.0]])
    probability = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(probability) + (1 - targets) * np.log(1 - probability)).sum()
    given, wanted = torch.tensor(logits), torch.tensor(targets)
    assert float(TASK.losses(given.float(), wanted.float())) == pytest.approx(expected, rel=1e-6)
    sums = TASK.sums(TASK.scores(given), wanted, torch.ones(1))
    assert TASK.metrics({name: float(value) for name, value in sums.items()})["loss"] == pytest.approx(
        expected
    )


def test_certain_scores_have_a_finite_loss():
    logits = torch.tensor([[40.0, -40.0]])
    sums = TASK.sums(TASK.scores(logits), torch.tensor([[0.0, 1.0]]), torch.ones(1))
    assert math.isfinite(float(sums["loss"]))


def test_only_a_task_that_ranks_keeps_the_scores_of_a_split():
    assert isinstance(TASK, Ranking)
    assert not isinstance(Classification(), Ranking)


def test_tags_are_learned_and_measured():
    spec = toy_spec(
        task=TASK, data=ToyData(tags=True), duration=Epochs(30), evaluation=Evaluation(every=Epochs(30))
    )
    _, found = run(spec)
    assert found[-1].metrics["validation/map"] > 0.7
    assert found[-1].metrics["validation/map_classes"] == 3


def test_a_task_is_refused_for_examples_of_the_other_kind():
    with pytest.raises(
        SpecError, match=r"has one class, Tagging is for any number of classes: .*task=lab\.Classification"
    ):
        toy_spec(task=Tagging())
    with pytest.raises(
        SpecError, match=r"has any number of classes, Classification is for one class: .*task=lab\.Tagging"
    ):
        toy_spec(data=ToyData(tags=True), task=Classification())
