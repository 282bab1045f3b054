"""A run keeps what its model looks at; the page shows that, and says what to do where there is nothing."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lab import Ablation, Case, Constant, Evaluation, ExperimentSpec, Settings, Steps
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Scalar, Status
from lab.train import sights
from lab.train.run import train
from perceiver import Fourier, PerceiverConfig
from perceiver import Image as Pixels
from perceiver.attention_maps import attention_maps
from pipelines.data import Digits, digits
from pipelines.tables import assemble, build, draw, figure3, keep_maps, verify_folder
from pipelines.tables.attention import pictures
from pipelines.tables.raster import png
from tests.lab.toy import Ledger, toy_spec

MODEL = PerceiverConfig(
    Pixels(8, 8, 1, Fourier(2, 8)), num_latents=4, latent_channels=8, blocks=2, self_attends_per_block=1,
    cross_attends=2, self_heads=2, num_classes=10,
)  # fmt: skip
SPEC = ExperimentSpec(
    MODEL, Digits(), schedule=Constant(), duration=Steps(2), batch_size=16,
    evaluation=Evaluation(every=Steps(2), splits=("validation",), at_end=("test",)),
)  # fmt: skip
SWEEP = Ablation("figure3", "laptop", (Case("Perceiver (FF)", SPEC),), (0,))


class Keeping(Ledger):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, str] = {}

    def keep(self, file, text, tags) -> None:
        self.kept[file] = text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    digits.prepare(str(folder / "data"))
    return folder


@pytest.fixture(scope="module")
def kept(home: Path) -> str:
    """What one run keeps, of which there is a checkpoint afterwards."""
    sink = Keeping()
    train(SPEC, data_root=str(home / "data"), storage=str(home / "checkpoints"), sink=sink)
    return sink.kept[sights.FILE]


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings.load({}, home=home)


def recorded(drawing: str = "") -> tuple[MemoryTracker, str]:
    """A complete run of the one case, and its id."""
    tracker = MemoryTracker()
    run = tracker.begin(SPEC, name="Perceiver (FF)", owner="host:1:1", tags={"commit": "c0ffee"})
    tracker.log(run.run_id, [Scalar("test/top1", 2, 0.5)])
    if drawing:
        attach(tracker, run.run_id, drawing)
    tracker.end(run.run_id, Status.COMPLETE)
    return tracker, run.run_id


def attach(tracker: MemoryTracker, run_id: str, drawing: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, sights.FILE)
        file.write_text(drawing)
        tracker.attach(run_id, file)


def page(tracker: MemoryTracker, out: Path) -> str:
    (file,) = build(["figure3"], tracker, {"figure3": SWEEP}, "html", out)
    return file.read_text()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_run_over_images_keeps_its_images_and_a_map_for_each_cross_attend(kept, settings) -> None:
    source = SPEC.data.open(settings.data)
    images = next(iter(source.scan("test", batch_size=6))).inputs
    rows = pictures(kept)
    assert [len(row) for row in rows] == [1 + 2] * 6
    for row, image in zip(rows, images, strict=True):
        assert (pixels(row[0]) == SPEC.data.picture(image)).all()


def test_the_maps_are_those_of_the_weights_that_the_run_ended_with(kept, settings) -> None:
    from lab.train.checkpoint import CheckpointStore

    network = MODEL.build()
    network.load_state_dict(CheckpointStore(settings.storage, SPEC.digest).latest().model)
    images = next(iter(SPEC.data.open(settings.data).scan("test", batch_size=6))).inputs
    weights = attention_maps(network, images)
    for example, row in enumerate(pictures(kept)):
        for number, picture in enumerate(row[1:]):
            grid = weights[number][example].view(8, 8)
            np.testing.assert_allclose(pixels(picture) / 255, grid / grid.max(), atol=0.6 / 255)


def test_a_model_or_a_data_set_without_pictures_keeps_none(tmp_path: Path, settings) -> None:
    sink = Keeping()
    train(toy_spec(duration=Steps(2)), data_root="", storage=str(tmp_path), sink=sink)
    assert sights.FILE not in sink.kept


def test_a_drawing_that_memory_is_too_small_for_costs_no_run(monkeypatch, settings, caplog) -> None:
    def too_much(*arguments: object) -> list[torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PerceiverConfig, "attention", too_much)
    assert sights.sights_or_none(SPEC, MODEL.build(), SPEC.data.open(settings.data)) == ""
    assert "no attention maps" in caplog.text


def test_the_page_shows_what_was_kept_and_two_builds_are_the_same_bytes(kept, tmp_path: Path) -> None:
    tracker, _ = recorded(kept)
    text = page(tracker, tmp_path / "one")
    assert text == page(tracker, tmp_path / "two")
    assert text.count("data:image/png;base64,") == 6 * 3
    assert 'aria-label="Attention maps of Perceiver (FF) on digits, laptop scale, seed 0' in text
    assert "lab fill figure3" not in text
    assert verify_folder(tmp_path / "one", tracker, {"figure3": SWEEP}).faults == ()


def test_other_maps_put_with_a_run_afterwards_are_found(kept, tmp_path: Path) -> None:
    tracker, run_id = recorded(kept)
    page(tracker, tmp_path)
    attach(tracker, run_id, kept.replace("cross 1", "cross one"))
    (fault,) = verify_folder(tmp_path, tracker, {"figure3": SWEEP}).faults
    assert str(fault).startswith("figure3 / Perceiver (FF) / top1: run")
    assert "another attention.svg" in str(fault)


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", '<image href="https://example.org/x.png" x="0" y="0"/>']
)
def test_nothing_of_a_kept_file_but_its_pictures_comes_to_the_page(kept, evil: str, tmp_path: Path) -> None:
    tracker, _ = recorded(kept.replace("</svg>", f"{evil}</svg>"))
    text = page(tracker, tmp_path)
    assert evil not in text
    assert "example.org" not in text
    assert text.count("data:image/png;base64,") == 6 * 3


def test_where_no_run_kept_maps_the_page_says_what_makes_them(tmp_path: Path) -> None:
    tracker, _ = recorded()
    assert "<code>lab fill figure3 --scale laptop</code>" in page(tracker, tmp_path / "recorded")
    assert "<code>lab sweep figure3 --scale laptop</code>" in page(MemoryTracker(), tmp_path / "empty")


def test_weights_that_are_still_there_give_the_maps_that_were_not_kept(kept, settings, tmp_path) -> None:
    tracker, run_id = recorded()
    tables = assemble(["figure3"], tracker, {"figure3": SWEEP})
    assert keep_maps(tables, tracker, settings) == [run_id]
    assert tracker.text(run_id, sights.FILE) == kept
    assert keep_maps(tables, tracker, settings) == []
    tracker, _ = recorded()
    tables = assemble(["figure3"], tracker, {"figure3": SWEEP})
    assert keep_maps(tables, tracker, replace(settings, storage=str(tmp_path))) == []


@pytest.mark.parametrize("form", ["svg", "png"])
def test_maps_are_files_of_their_own_from_the_record_or_from_weights(kept, settings, form, tmp_path) -> None:
    for number, drawing in enumerate((kept, "")):
        tracker, _ = recorded(drawing)
        tables = assemble(["figure3"], tracker, {"figure3": SWEEP})
        (file,) = draw(tables, tracker, settings, form, tmp_path / str(number))
        assert file.name == f"figure3.1.{form}"
    assert (tmp_path / "0" / file.name).read_bytes() == (tmp_path / "1" / file.name).read_bytes()


def test_a_picture_keeps_its_pixels_in_a_png_of_the_drawing() -> None:
    levels = np.array([[0, 255], [128, 64]], np.uint8)
    image = pixels(png(sights.drawn("four", [[sights.png(levels)]]), dots=100))[..., 0]
    top, side = int(sights.HEAD), int(sights.SIDE)
    at = [(top + side * part // 4, side * other // 4) for part in (1, 3) for other in (1, 3)]
    assert [int(image[y, x]) for y, x in at] == levels.ravel().tolist()


def test_the_brightest_place_of_a_map_is_white() -> None:
    weights = torch.tensor([[0.1, 0.05], [0.0, 0.2]])
    assert sights.levels(weights).tolist() == [[128, 64], [0, 255]]


def test_pictures_stand_in_the_order_of_the_cross_attends() -> None:
    drawing = sights.drawn("maps", [[b"1", b"2", b"3"], [b"4", b"5", b"6"]])
    assert re.findall(r">(image|cross \d)<", drawing) == ["image", "cross 1", "cross 2"]
    assert pictures(drawing) == [[b"1", b"2", b"3"], [b"4", b"5", b"6"]]


def test_many_pixels_are_kept_as_fewer() -> None:
    assert pixels(sights.png(np.zeros((256, 512, 3), np.uint8))).shape == (64, 128, 3)


def test_figure_3_draws_only_where_something_was_measured() -> None:
    assert figure3.pictures(figure3.table(SWEEP), MemoryTracker()) == []  # type: ignore[arg-type]
