"""What is done to ImageNet before a model sees it."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lab.errors import DataError, MissingDataset, SpecError
from lab.spec import Dataset
from perceiver import Image as ImageInputs
from pipelines.data import ImageNet, imagenet
from pipelines.data.counter import Draws
from pipelines.data.images import crops
from pipelines.data.stream import Stream
from tests.pipelines.data import imagenet_forms as forms


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """2,000 training images prepared, half of them held out."""
    folder = tmp_path_factory.mktemp("imagenet")
    forms.write_tars(folder / "source", forms.training(), forms.validation())
    imagenet.prepare(str(folder / "data"), str(folder / "source"))
    return str(folder / "data")


def test_the_data_set_promises_what_the_paper_uses() -> None:
    data = ImageNet()
    assert isinstance(data, Dataset)
    assert (data.name, data.input_shape, data.num_classes) == ("imagenet", (224, 224, 3), 1000)
    with pytest.raises(SpecError, match="resolution is in pixels and must be 1 or more, got 0"):
        ImageNet(resolution=0)


def test_evaluation_is_pillows_centre_crop(root: str) -> None:
    """To a level, by Pillow's own crop and resize, on noise: 448 of 512 pixels to 224."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 700, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    pixels, label = ImageNet().decode({"key": "x", "label": 3, "image": stream.getvalue()}, None)
    cropped = Image.fromarray(noise[32:480, 126:574])
    expected = np.asarray(cropped.resize((224, 224), Image.Resampling.BICUBIC))
    assert np.abs(pixels - expected.astype(int)).max() <= 1
    inputs, targets = ImageNet().collate([(pixels, label)])
    assert (inputs[0].numpy() == pixels).all()
    assert inputs.dtype == torch.uint8
    assert targets.tolist() == [3]


def test_a_model_standardises_the_pixels_as_the_official_code_does() -> None:
    raw = torch.arange(256, dtype=torch.uint8).reshape(1, 8, 32, 1).repeat(1, 1, 1, 3)
    elements = ImageInputs(8, 32, pixels=imagenet.PIXELS).build()(raw)
    scaled = (raw / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(elements, scaled.flatten(1, 2), atol=1e-5, rtol=0)


def test_training_crops_cover_what_inception_crops_cover() -> None:
    boxes = np.array([crops.inception(500, 375, Draws.of(0, 0, i)) for i in range(3000)])
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0
    assert (boxes[:, 2] <= 500).all()
    assert (boxes[:, 3] <= 375).all()
    share, ratio = wide * high / (500 * 375), wide / high
    assert 0.079 < share.min() < 0.09
    assert 0.9 < share.max() <= 1
    assert 0.74 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.35


def test_images_too_narrow_for_any_crop_give_their_centre() -> None:
    assert crops.inception(1000, 8, Draws(0)) == crops.centre(1000, 8) == (497, 1, 504, 8)


def test_training_flips_half_of_the_images() -> None:
    """On an image that is dark on the left, whatever the crop: the brighter half tells."""
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 48, axis=0).repeat(3, axis=2)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, "PNG")
    row = {"key": "x", "label": 0, "image": stream.getvalue()}
    data = ImageNet(resolution=16, augment=None)
    images = [data.decode(row, Draws.of(0, 0, example))[0] for example in range(400)]
    flipped = sum(float(image[:, :8].mean()) > float(image[:, 8:].mean()) for image in images)
    assert 150 < flipped < 250


def test_augmented_batches_do_not_depend_on_workers_or_start(root: str) -> None:
    source = ImageNet(resolution=16).open(root)
    options: dict[str, Any] = {"batch_size": 256, "seed": 1, "epoch": 2}
    last = list(source.batches("train", **options))[-1]
    (resumed,) = source.batches("train", start=1000 // 256 - 1, **options)
    assert torch.equal(last.inputs, resumed.inputs)


def test_a_batch_in_place_is_its_examples_collated(root: str) -> None:
    """By one thread and by several, which are handed pieces of a batch."""
    collated = Stream.open(root, Collated(), imagenet.VERSION)
    for workers in (1, 3):
        source = Stream.open(root, ImageNetBy(resolution=16, workers=workers), imagenet.VERSION)
        for options in ({"batch_size": 50, "seed": 0, "epoch": 0}, {"batch_size": 1, "seed": 1, "epoch": 0}):
            one, other = (next(iter(each.batches("train", **options))) for each in (collated, source))
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.targets, other.targets)
            assert torch.equal(one.ids, other.ids)


@dataclass(frozen=True)
class ImageNetBy(ImageNet):
    """ImageNet by this many threads."""

    workers: int = 1

    @property
    def threads(self) -> int:
        return self.workers


class Collated:
    """ImageNet's view without what lets its batches be filled in place."""

    def __init__(self) -> None:
        data = ImageNet(resolution=16)
        self.name, self.columns, self.threads = data.name, data.columns, 1
        self.decode, self.collate = data.decode, data.collate


def test_a_missing_source_and_a_missing_data_set_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run: lab data prepare imagenet --source FOLDER"):
        imagenet.prepare(str(tmp_path))
    with pytest.raises(MissingDataset, match="run: lab data prepare imagenet"):
        ImageNet().open(str(tmp_path))


def test_a_damaged_image_is_named_when_it_is_decoded() -> None:
    row = {"key": "n01440764/n01440764_1", "label": 0, "image": forms.encoded(0, 0)[:-80]}
    with pytest.raises(DataError, match="image n01440764/n01440764_1 of imagenet cannot be decoded"):
        ImageNet().decode(row, None)
