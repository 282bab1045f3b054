"""The maps are the attention the model applies, lie where the elements lie, and read back as pictures."""

from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from perceiver import (
    Audio,
    Bytes,
    ConvolvedImage,
    Fourier,
    Fusion,
    Image,
    Learned,
    LiftedImage,
    Modality,
    PerceiverConfig,
    Points,
    Spectrogram,
    Video,
)
from perceiver.attention_maps import attention_maps, on_grids
from perceiver.attention_pictures import flat, png, save_pictures, seen_from_above

IMAGE = PerceiverConfig(
    Image(6, 5, positions=Fourier(2, 6)),
    num_latents=4,
    latent_channels=8,
    blocks=4,
    self_attends_per_block=1,
    cross_attends=4,
    self_heads=2,
    num_classes=3,
)
VIDEO = Video(4, 6, 4, patch=(2, 3, 2), positions=Fourier(2, 4))
SOUND = Audio(24, patch=4, positions=Fourier(2, 6))
INPUTS = {
    "image": (IMAGE.inputs, (6, 5)),
    "audio": (SOUND, (6,)),
    "spectrogram": (Spectrogram(4, 3, flat=False), (4, 3)),
    "video": (VIDEO, (2, 2, 2)),
    "points": (Points(9, positions=Fourier(2, 8)), (9,)),
    "lifted": (LiftedImage(6, 5, positions=Learned(3)), (6, 5)),
    "convolved": (ConvolvedImage(16, 12), (4, 3)),
}


def raw_of(inputs, size=2):
    if isinstance(inputs, Bytes):
        return torch.randint(1, inputs.vocabulary, (size, *inputs.shape))
    return torch.rand(size, *inputs.shape) * 2 - 1


def test_maps_are_the_weights_that_make_the_values():
    """The last cross-attend's output, made by hand from its map, is its output."""
    model = replace(IMAGE, inputs=Image(6, 5, 7), cross_heads=7).build()
    images = raw_of(model.config.inputs)
    attend = model.cross_attends[-1]
    calls = []
    hook = attend.register_forward_hook(lambda module, args, output: calls.append((args[0], output)))
    weights = attention_maps(model, images, per_latent=True)
    hook.remove()
    for (latents, output), map_ in zip(calls, weights[1:], strict=True):
        value = attend.value(attend.norm_inputs(model.inputs(images)))
        taken = torch.einsum("bhnm,bmhc->bnhc", map_, value.unflatten(-1, (7, 1))).flatten(2)
        z = latents + attend.out(taken)
        torch.testing.assert_close(z + attend.mlp(attend.norm_mlp(z)), output)


def test_there_is_a_map_for_every_cross_attend_shared_or_not():
    for sharing in ("none", "published", "all"):
        model = replace(IMAGE, sharing=sharing).build()
        maps = attention_maps(model, raw_of(IMAGE.inputs))
        assert [tuple(map_.shape) for map_ in maps] == [(2, 30)] * 4


def test_every_row_sums_to_one_and_the_average_is_that_of_the_latents():
    model, images = IMAGE.build(), raw_of(IMAGE.inputs)
    for average, each in zip(
        attention_maps(model, images), attention_maps(model, images, per_latent=True), strict=True
    ):
        torch.testing.assert_close(each.sum(dim=-1), torch.ones(2, 1, 4))
        torch.testing.assert_close(each.mean(dim=(1, 2)), average)


@pytest.mark.parametrize("kind", INPUTS)
def test_maps_lie_on_the_grid_of_any_input(kind):
    inputs, axes = INPUTS[kind]
    model = replace(IMAGE, inputs=inputs).build()
    grid = on_grids(model, attention_maps(model, raw_of(inputs))[0])["inputs"]
    assert grid.shape == (2, *axes)


def test_permuted_pixels_are_put_back_in_their_places():
    torch.manual_seed(0)
    plain = IMAGE.build()
    permuted = replace(IMAGE, inputs=replace(IMAGE.inputs, permutation=7)).build()
    permuted.load_state_dict(plain.state_dict())
    images = raw_of(IMAGE.inputs)
    for here, there in zip(attention_maps(plain, images), attention_maps(permuted, images), strict=True):
        torch.testing.assert_close(on_grids(permuted, there)["inputs"], on_grids(plain, here)["inputs"])


def test_the_modalities_of_a_fusion_share_one_attention():
    fusion = Fusion((Modality("audio", SOUND), Modality("video", VIDEO, dropout=0.9)))
    model = replace(IMAGE, inputs=fusion).build()
    raw = {"audio": raw_of(SOUND), "video": raw_of(VIDEO)}
    grids = on_grids(model, attention_maps(model, raw)[0])
    assert {name: tuple(grid.shape) for name, grid in grids.items()} == {
        "audio": (2, 6),
        "video": (2, 2, 2, 2),
    }
    torch.testing.assert_close(sum(grid.flatten(1).sum(1) for grid in grids.values()), torch.ones(2))


def test_padding_after_a_text_is_not_looked_at():
    model = replace(IMAGE, inputs=Bytes(length=8, channels=6, vocabulary=20)).build()
    text = F.pad(torch.randint(1, 20, (2, 5)), (0, 3))
    for map_ in attention_maps(model, text):
        assert (map_[:, 5:] == 0).all()
        assert (map_[:, :5] > 0).all()


def test_looking_leaves_the_model_as_it_was():
    model, images = IMAGE.build().train(), raw_of(IMAGE.inputs)
    before = model(images)
    attention_maps(model, images)
    assert model.training
    assert not any(attend._forward_pre_hooks for attend in model.cross_attends)
    assert torch.equal(model(images), before)


def test_pictures_read_back_as_the_maps(tmp_path):
    model, images = IMAGE.build(), raw_of(IMAGE.inputs)
    paths = save_pictures(model, images, tmp_path, scale=3)
    assert len(paths) == 4 * 2
    for number, map_ in enumerate(attention_maps(model, images), start=1):
        for example, grid in enumerate(on_grids(model, map_)["inputs"]):
            picture = matplotlib.image.imread(
                tmp_path / f"cross-attend-{number}.inputs.example-{example}.png"
            )
            assert picture.shape == (18, 15)
            np.testing.assert_allclose(picture[::3, ::3], (grid / grid.max()).numpy(), atol=0.5 / 255 + 1e-6)


def test_a_latent_has_a_picture_of_its_own(tmp_path):
    paths = save_pictures(IMAGE.build(), raw_of(IMAGE.inputs, 1), tmp_path, latents=(0, 3))
    assert len(paths) == 4 * 2
    assert (tmp_path / "cross-attend-4.inputs.example-0.latent-3.png").exists()


def test_videos_sounds_and_clouds_have_pictures(tmp_path):
    fusion = Fusion((Modality("sound", SOUND), Modality("video", VIDEO), Modality("cloud", Points(9))))
    model = replace(IMAGE, inputs=fusion, cross_attends=1).build()
    raw = {
        name: raw_of(inputs, 1) for name, inputs in (("sound", SOUND), ("video", VIDEO), ("cloud", Points(9)))
    }
    shapes = {
        path.name.split(".")[1]: matplotlib.image.imread(path).shape
        for path in save_pictures(model, raw, tmp_path)
    }
    assert shapes == {"sound": (1, 6), "video": (2, 4), "cloud": (128, 128)}


def test_frames_lie_side_by_side():
    grid = torch.arange(12.0).view(2, 2, 3)
    assert flat(grid).tolist() == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]


def test_points_that_fall_together_show_the_brightest():
    points = torch.tensor([[-1.0, 1.0, 0.0], [-1.0, 1.0, 0.5], [1.0, -1.0, 0.0]])
    picture = seen_from_above(points, torch.tensor([0.2, 0.5, 0.3]))
    assert picture[127, 0] == 0.5
    assert picture[0, 127] == pytest.approx(0.3)
    assert picture.count_nonzero() == 2


def test_a_picture_without_light_is_black(tmp_path):
    (tmp_path / "black.png").write_bytes(png(torch.zeros(2, 3)))
    assert (matplotlib.image.imread(tmp_path / "black.png") == 0).all()
