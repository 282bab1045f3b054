"""Specifications: identity from content, changes by dotted path, refusals that name the way out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

import pytest

from lab import (
    AdamW,
    Constant,
    CosineAfter,
    Epochs,
    Evaluation,
    ExperimentSpec,
    Lamb,
    StepDecay,
    Steps,
    codec,
)
from lab.errors import SpecError


@dataclass(frozen=True)
class Net:
    width: int = 4
    bands: tuple[int, ...] = (1, 2)
    dropout: float = 0.0

    input_shape = (8, 8, 1)
    num_outputs = 10

    def __post_init__(self) -> None:
        if self.width % 2:
            raise ValueError(f"width must be even, got {self.width}")

    def build(self): ...
    def parameters(self) -> int:
        return self.width

    def flops(self) -> int:
        return self.width


@dataclass(frozen=True)
class Pixels:
    name: str = "pixels"

    input_shape = (8, 8, 1)
    num_classes = 10
    multi_label = False

    def open(self, root: str): ...


@dataclass(frozen=True)
class Sized:
    resolution: float | tuple[float, ...]


@pytest.fixture
def spec() -> ExperimentSpec:
    return ExperimentSpec(model=Net(), data=Pixels())


def test_the_digest_is_the_sha256_of_the_canonical_json(spec: ExperimentSpec) -> None:
    text = json.dumps(json.loads(spec.to_json()), sort_keys=True, separators=(",", ":"))
    assert spec.digest == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_a_specification_survives_json(spec: ExperimentSpec) -> None:
    other = replace(spec, schedule=CosineAfter(0.5), optimizer=AdamW(lr=1e-3), duration=Steps(7), clip=10.0)
    assert ExperimentSpec.from_json(other.to_json()) == other
    assert ExperimentSpec.from_json(other.to_json()).digest == other.digest


def test_equal_content_has_one_digest_however_it_is_written(spec: ExperimentSpec) -> None:
    assert replace(spec, duration=Epochs(3)).digest == replace(spec, duration=Epochs(3.0)).digest
    assert replace(spec, clip=10).digest == replace(spec, clip=10.0).digest


def test_equal_numbers_have_one_digest(spec: ExperimentSpec) -> None:
    minus_zero = replace(spec, optimizer=Lamb(weight_decay=-0.0))
    assert minus_zero.digest == replace(spec, optimizer=Lamb(weight_decay=0.0)).digest
    assert str(codec.encode(Sized((8, 8)))["resolution"]) == "[8.0, 8.0]"
    assert str(codec.encode(Sized(8))["resolution"]) == "8.0"


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"model.width": 6}, {"optimizer.lr": 0.1}, {"duration": Epochs(2)}]
)
def test_every_change_changes_the_digest(spec: ExperimentSpec, change: dict[str, object]) -> None:
    assert spec.override(change).digest != spec.digest


def test_a_neutral_field_added_later_changes_no_digest() -> None:
    @dataclass(frozen=True)
    class Before:
        width: int = 4

    @dataclass(frozen=True)
    class After:
        width: int = 4
        rotation: float = field(default=0.0, metadata={"neutral": True})

    before, after, turned = codec.encode(Before()), codec.encode(After()), codec.encode(After(rotation=0.5))
    assert before["width"] == after["width"]
    assert set(before) == set(after)
    assert turned["rotation"] == 0.5


def test_changes_are_applied_together_and_constructed_once(spec: ExperimentSpec) -> None:
    changed = spec.override(
        {"schedule": StepDecay((Epochs(1), Epochs(2))), "schedule.factor": 0.5, "duration": Epochs(3)}
    )
    assert changed.schedule == StepDecay((Epochs(1), Epochs(2)), factor=0.5)


def test_the_words_of_a_command_line_become_values(spec: ExperimentSpec) -> None:
    changed = codec.override(
        spec,
        {
            "model.width": "8",
            "model.bands": "3,4",
            "optimizer.lr": "1e-2",
            "clip": "None",
            "evaluation.splits": "test",
        },
        texts=True,
    )
    assert changed.model == Net(width=8, bands=(3, 4))
    assert changed.optimizer == Lamb(lr=0.01)
    assert changed.clip is None
    assert changed.evaluation == Evaluation(splits=("test",))


@pytest.mark.parametrize("word", ["none", "None", "null"])
def test_nothing_is_said_as_lab_show_prints_it_or_as_python_and_json_write_it(
    spec: ExperimentSpec, word: str
) -> None:
    assert codec.override(spec, {"clip": word}, texts=True).clip is None


def test_a_whole_part_can_be_replaced_from_the_command_line(spec: ExperimentSpec) -> None:
    text = '{"kind": "lab.AdamW", "lr": 0.5}'
    assert codec.override(spec, {"optimizer": text}, texts=True).optimizer == AdamW(lr=0.5)


def test_the_difference_of_two_specifications_is_by_dotted_path(spec: ExperimentSpec) -> None:
    changed = spec.override({"model.width": 6, "schedule": Constant()})
    assert codec.difference(spec, changed)["model.width"] == (4, 6)
    assert codec.difference(spec, changed)["schedule"] == ("StepDecay", "Constant")
    assert codec.difference(spec, spec) == {}


def test_a_part_of_another_kind_is_one_difference_and_not_one_for_each_of_its_fields(
    spec: ExperimentSpec,
) -> None:
    changed = spec.override({"optimizer": AdamW(lr=0.5)})
    assert set(codec.difference(spec, changed)) == {"optimizer", "optimizer.lr", "optimizer.eps"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.widht": "8"}, r"model\.widht: Net has no field 'widht'\. Did you mean 'width'\?"),
        ({"modle.width": "8"}, r"modle: ExperimentSpec has no field 'modle'\. Did you mean 'model'\?"),
        ({"model.width": "five"}, r"model\.width: must be int, got 'five'"),
        ({"model.width": "4.5"}, r"model\.width: must be int, got 4\.5"),
        ({"model.width": "true"}, r"model\.width: must be int, got True"),
        ({"model.width": "5"}, r"model: width must be even, got 5"),
        ({"model.bands": "1,x"}, r"model\.bands.*'x'"),
        (
            {"precision": "bf61"},
            r"precision: must be one of 'fp32', 'bf16', got 'bf61'\. Did you mean 'bf16'\?",
        ),
        ({"optimizer.lr": "0"}, r"optimizer: Lamb\.lr must be greater than 0 and finite, got 0"),
        ({"seed.high": "1"}, r"seed\.high: seed is 0 and has no fields to set"),
        ({"duration.count": "-1"}, r"duration: Epochs must be greater than 0 and finite, got -1"),
        ({"batch_size": "0"}, r"batch_size must be 1 or more, got 0"),
        ({"optimizer": '{"kind": "os.system"}'}, r"optimizer: 'os\.system' names no specification"),
    ],
)
def test_a_mistake_is_refused_with_its_path_and_the_way_out(
    spec: ExperimentSpec, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        codec.override(spec, changes, texts=True)


def test_reading_refuses_unknown_fields(spec: ExperimentSpec) -> None:
    data = json.loads(spec.to_json())
    data["model"]["depth"] = 3
    with pytest.raises(SpecError, match=r"model\.depth: Net has no field 'depth'"):
        ExperimentSpec.from_json(json.dumps(data))


def test_model_and_data_that_do_not_fit_cannot_be_put_together() -> None:
    @dataclass(frozen=True)
    class Wide(Pixels):
        input_shape = (28, 28, 1)

    with pytest.raises(
        SpecError, match=r"model takes inputs of shape \(8, 8, 1\), pixels gives \(28, 28, 1\)"
    ):
        ExperimentSpec(model=Net(), data=Wide())


def test_milestones_keep_one_unit_and_ascend() -> None:
    with pytest.raises(SpecError, match="all Epochs or all Steps"):
        StepDecay((Epochs(1), Steps(2)))
    with pytest.raises(SpecError, match="must ascend"):
        StepDecay((Epochs(2), Epochs(1)))
