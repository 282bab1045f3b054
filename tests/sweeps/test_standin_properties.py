"""What the stand-ins are for: that at laptop scale they ask of a model what the paper's data sets ask of it.

Each model is trained with three seeds. What was seen is in the docstrings of the stand-ins; the bounds are
further from it than the seeds are from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lab import Evaluation, ExperimentSpec
from lab.spec import Batch, Shard, Source
from lab.train.group import Group
from lab.train.loop import Evaluated, events
from lab.train.plan import Plan
from lab.train.state import Training
from pipelines.data import Digits, EventClips, MeshZoo, PairScenes, counter, prepare
from pipelines.data.order import WHOLE
from sweeps.experiments import eventclips, meshzoo, pairscenes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

SEEDS = (0, 1, 2)
PERMUTED = {"model.inputs.permutation": 1}

Inputs = torch.Tensor | dict[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("data"))


def trained(spec: ExperimentSpec, source: Source) -> tuple[dict[str, float], torch.nn.Module]:
    """(what is measured on the test split at the end, the model) of one training by the lab's own loop."""
    spec = spec.override({"evaluation": Evaluation(every=spec.duration, splits=("test",))})
    training = Training.begin(spec, torch.device("cpu"))
    metrics: dict[str, float] = {}
    for event in events(training, Plan.of(spec, source), source, Group()):
        if isinstance(event, Evaluated):
            metrics.update(event.metrics)
    return metrics, training.model.eval()


def scores(spec: ExperimentSpec, source: Source, metric: str = "test/top1") -> list[float]:
    found = [trained(spec.override({"seed": seed}), source)[0][metric] for seed in SEEDS]
    print(spec.data.name, type(spec.model).__name__, metric, [round(value, 3) for value in found])
    return found


def whole(source: Source, split: str) -> tuple[Any, torch.Tensor]:
    """All inputs and targets of a split, as evaluation sees them."""
    batches = list(source.scan(split, batch_size=64))
    there = torch.cat([batch.weights for batch in batches]) > 0
    inputs: Any
    if isinstance(batches[0].inputs, dict):
        inputs = {name: torch.cat([b.inputs[name] for b in batches])[there] for name in batches[0].inputs}
    else:
        inputs = torch.cat([batch.inputs for batch in batches])[there]
    return inputs, torch.cat([batch.targets for batch in batches])[there]


def linear_accuracy(source: Source, features: Callable[[torch.Tensor], np.ndarray], weight: float) -> float:
    """Of scikit-learn's logistic regression, on the test split."""
    (train, labels), (test, answers) = whole(source, "train"), whole(source, "test")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=weight, max_iter=300))
    return float(model.fit(features(train), labels).score(features(test), answers))


@pytest.mark.parametrize(
    "data", [Digits(), PairScenes(), MeshZoo(), EventClips()], ids=lambda data: data.name
)
def test_a_forecast_without_the_data_counts_the_examples_that_preparing_it_gives(
    data: Any, root: str
) -> None:
    prepare(data.name, root)
    source = data.open(root)
    assert {split: source.size(split) for split in ("train", "validation", "test")} == data.full_sizes


# PairScenes


@pytest.fixture(scope="module")
def scenes(root: str) -> Source:
    prepare("pairscenes", root)
    return PairScenes().open(root)


def test_pairscenes_cannot_be_told_apart_without_positions(scenes: Source) -> None:
    assert max(scores(pairscenes.no_positions(), scenes)) < 0.16


def test_pairscenes_is_learned_with_positions_and_a_permutation_changes_no_logit(scenes: Source) -> None:
    spec = pairscenes.fourier()
    metrics, model = trained(spec, scenes)
    permuted = spec.override(PERMUTED).model.build().eval()
    permuted.load_state_dict(model.state_dict())
    images, _ = whole(scenes, "test")
    with torch.no_grad():
        torch.testing.assert_close(permuted(images[:200]), model(images[:200]), atol=2e-4, rtol=1e-4)
    others = [trained(spec.override({"seed": seed}), scenes)[0]["test/top1"] for seed in SEEDS[1:]]
    print("pairscenes Perceiver", metrics["test/top1"], others)
    assert min(metrics["test/top1"], *others) > 0.8


@pytest.mark.parametrize("rival", [pairscenes.resnet, pairscenes.vit])
def test_a_fixed_permutation_of_pairscenes_pixels_hurts_what_knows_the_grid(
    scenes: Source, rival: Callable[[], ExperimentSpec]
) -> None:
    raw, permuted = scores(rival(), scenes), scores(rival().override(PERMUTED), scenes)
    assert mean(raw) > 0.7
    assert mean(permuted) < mean(raw) - 0.15


def test_no_linear_model_of_the_pixels_solves_pairscenes(scenes: Source) -> None:
    def pixels(images: torch.Tensor) -> np.ndarray:
        return images.flatten(1).numpy() / 255.0

    found = [linear_accuracy(scenes, pixels, weight) for weight in (1e-5, 1e-4, 1e-3)]
    print("pairscenes linear", found)
    assert max(found) < 0.65


# MeshZoo


@pytest.fixture(scope="module")
def meshes(root: str) -> Source:
    prepare("meshzoo", root)
    return MeshZoo().open(root)


def test_meshzoo_needs_fourier_features(meshes: Source) -> None:
    assert min(scores(meshzoo.fourier(), meshes)) > 0.7
    assert max(scores(meshzoo.no_positions(), meshes)) < 0.5


def test_no_linear_model_of_statistics_solves_meshzoo(meshes: Source) -> None:
    def statistics(clouds: torch.Tensor) -> np.ndarray:
        distance = clouds.norm(dim=2)
        spread = [clouds.mean(1), clouds.std(1), clouds.amin(1), clouds.amax(1)]
        around = [distance.mean(1, keepdim=True), distance.std(1, keepdim=True)]
        return torch.cat([*spread, *around], dim=1).numpy()

    def coordinates(clouds: torch.Tensor) -> np.ndarray:
        return clouds.flatten(1).numpy()

    found = [linear_accuracy(meshes, features, 1.0) for features in (statistics, coordinates)]
    print("meshzoo linear", found)
    assert max(found) < 0.68


# EventClips


SPANS = 3


class Held:
    """A source whose spans are decoded once: for EventClips that is most of the time."""

    fingerprint = "held"

    def __init__(self, source: Source) -> None:
        self.splits = {split: whole(source, split) for split in ("train", "test")}

    def only(self, modality: str) -> Held:
        held = Held.__new__(Held)
        held.splits = {split: (inputs[modality], targets) for split, (inputs, targets) in self.splits.items()}
        return held

    def size(self, split: str) -> int:
        return len(self.splits[split][1])

    def batches(
        self, split: str, *, batch_size: int, seed: int, epoch: int, start: int = 0, shard: Shard = WHOLE
    ) -> Iterator[Batch]:
        """A random span of each clip, as in training."""
        order = torch.from_numpy(counter.permutation(counter.key(seed, epoch), self.size(split)))
        spans = torch.from_numpy(counter.permutation(counter.key(seed, epoch, 1), self.size(split)) % SPANS)
        for step in range(start, len(order) // batch_size):
            part = slice(step * batch_size, (step + 1) * batch_size)
            yield self._batch(split, order[part], spans[part])

    def scan(self, split: str, *, batch_size: int, shard: Shard = WHOLE) -> Iterator[Batch]:
        for ids in torch.arange(self.size(split)).split(batch_size):
            yield self._batch(split, ids)

    def _batch(self, split: str, ids: torch.Tensor, spans: torch.Tensor | None = None) -> Batch:
        inputs, targets = self.splits[split]

        def taken(part: torch.Tensor) -> torch.Tensor:
            return part[ids] if spans is None else part[ids, spans]

        chosen = {n: taken(p) for n, p in inputs.items()} if isinstance(inputs, dict) else taken(inputs)
        return Batch(chosen, targets[ids], torch.ones(len(ids)), ids)


@pytest.fixture(scope="module")
def clips(root: str) -> Held:
    prepare("eventclips", root)
    return Held(EventClips(clips=SPANS).open(root))


@pytest.fixture(scope="module")
def perceiver(clips: Held) -> dict[str, list[float]]:
    """mAP of what hears, what sees, and what does both."""
    return {
        "sound": scores(eventclips.audio(), clips.only("audio"), "test/map"),
        "sight": scores(eventclips.sight(), clips.only("video"), "test/map"),
        "both": scores(eventclips.fused(), clips, "test/map"),
    }


def test_sound_and_sight_together_beat_either_alone_on_eventclips(perceiver: dict[str, list[float]]) -> None:
    assert mean(perceiver["both"]) > max(mean(perceiver["sound"]), mean(perceiver["sight"])) + 0.1


@pytest.mark.parametrize("alone", ["sound", "sight"])
def test_either_alone_knows_more_than_how_common_events_are(
    clips: Held, perceiver: dict[str, list[float]], alone: str
) -> None:
    _, targets = clips.splits["test"]
    assert min(perceiver[alone]) > float(targets.mean()) + 0.2


def test_no_linear_model_of_averages_solves_eventclips(
    clips: Held, perceiver: dict[str, list[float]]
) -> None:
    """Of spectra and frames averaged over time, with the places in the frames and without them."""

    def averages(split: str, squares: int) -> np.ndarray:
        inputs, _ = clips.splits[split]
        spectra, frames = inputs["audio"].mean((1, 2)), inputs["video"].mean((1, 2))
        coarse = frames.unfold(1, squares, squares).unfold(2, squares, squares).mean((-1, -2))
        return torch.cat([spectra, coarse.flatten(1)], dim=1).numpy()

    def precision(squares: int, weight: float) -> float:
        """mAP of one logistic regression per event."""
        train, test = averages("train", squares), averages("test", squares)
        found = []
        for label in range(clips.splits["test"][1].shape[1]):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=weight, max_iter=300))
            model.fit(train, clips.splits["train"][1][:, label])
            answers = clips.splits["test"][1][:, label]
            found.append(average_precision_score(answers, model.decision_function(test)))
        return mean(found)

    found = [precision(squares, weight) for squares in (4, 16) for weight in (1e-3, 1e-2, 1e-1)]
    print("eventclips linear", found)
    assert max(found) < min(perceiver["both"]) - 0.15
