"""Fourier features against the official formula written in numpy, and the ways they are commonly misread."""

import numpy as np
import pytest
import torch

from perceiver import ConfigError, Fourier, Image, InputError, Learned, Points, Video, variants
from perceiver.positions import fourier_features, frequencies, grid_features


def official(coordinates, bands, resolutions, concat=True):
    """deepmind-research, perceiver/position_encoding.py, generate_fourier_features, in float64."""
    bank = np.stack([np.linspace(1.0, r / 2, num=bands, endpoint=True) for r in resolutions])
    per_axis = coordinates[:, :, None] * bank[None]
    angles = np.pi * per_axis.reshape(len(coordinates), -1)
    features = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    return np.concatenate([coordinates, features], axis=-1) if concat else features


def official_grid(axes):
    lines = [np.linspace(-1.0, 1.0, num=size, endpoint=True) for size in axes]
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(axes))


@pytest.mark.parametrize(
    ("axes", "bands", "resolution"),
    [((480,), 64, 480), ((7, 5), 3, (8.0, 12.0)), ((4, 6, 3), 2, (4.0, 10.0, 6.0)), ((1, 1), 1, 2)],
)
@pytest.mark.parametrize("concat", [True, False])
def test_grid_features_are_those_of_the_official_code(axes, bands, resolution, concat):
    ours = grid_features(axes, Fourier(bands, resolution, concat_position=concat))
    resolutions = resolution if isinstance(resolution, tuple) else (resolution,) * len(axes)
    assert ours.dtype == torch.float32
    expected = official(official_grid(axes), bands, resolutions, concat)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)


def test_an_imagenet_pixel_has_261_channels_with_its_colours_first():
    inputs = variants.imagenet().inputs
    assert (inputs.elements, inputs.element_channels) == (50_176, 261)
    image = torch.rand(1, 224, 224, 3)
    element = inputs.build()(image)[0, 224 * 30 + 200]
    position = official(official_grid((224, 224))[[224 * 30 + 200]], 64, (224, 224))[0]
    assert torch.equal(element[:3], image[0, 30, 200])
    np.testing.assert_allclose(element[3:].numpy(), position, atol=1e-6)


def test_bands_are_equally_spaced_from_1_to_the_nyquist_frequency():
    bands = frequencies(64, 224, "linear", torch.zeros(1, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(bands, 1 + np.arange(64) * 111 / 63)


def test_log_spaced_bands_are_another_encoding_and_must_be_asked_for():
    # perceiver-pytorch up to 0.7.3 spaced them so.
    bands = frequencies(5, 32, "log", torch.zeros(1, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(bands, [1, 2, 4, 8, 16])
    assert variants.imagenet().inputs.positions.spacing == "linear"


def test_the_highest_band_of_modelnet40_is_the_stated_1120_and_not_its_half():
    # Passing 1120 as the maximum resolution would end the bands at 560.
    positions = variants.modelnet40().inputs.positions
    highest = frequencies(positions.bands, positions.max_resolution, positions.spacing, torch.zeros(1))[-1]
    assert highest == 1120


def test_every_example_gets_the_features_of_its_own_points():
    # Hugging Face's Perceiver computes the sines of the first example for the whole batch.
    clouds = torch.rand(3, 10, 3, dtype=torch.float64) * 2 - 1
    ours = Points(10, positions=Fourier(4, 32)).build()(clouds)
    assert ours.shape == (3, 10, 27)
    for cloud, features in zip(clouds, ours, strict=True):
        np.testing.assert_allclose(features.numpy(), official(cloud.numpy(), 4, (32, 32, 32)), atol=1e-10)


def test_features_of_half_precision_coordinates_are_computed_in_float32():
    coordinates = torch.linspace(-1, 1, 9, dtype=torch.bfloat16)[:, None]
    ours = fourier_features(coordinates, Fourier(64, 2240))
    assert ours.dtype == torch.float32
    expected = official(coordinates.double().numpy(), 64, (2240,))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-3)


def test_bfloat16_models_keep_positions_to_bfloat16_rounding():
    elements = Image(16, 16, positions=Fourier(8, 16)).build().bfloat16()(torch.rand(1, 16, 16, 3).bfloat16())
    expected = official(official_grid((16, 16)), 8, (16, 16))
    np.testing.assert_allclose(elements[0, :, 3:].float().numpy(), expected, atol=2**-8)


def test_fourier_positions_are_not_in_the_state_dict_and_learned_ones_are():
    assert not Image(4, 4, positions=Fourier(2, 4)).build().state_dict()
    state = Image(4, 4, positions=Learned(7)).build().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {"positions": (16, 7)}


def test_learned_positions_are_cut_at_two_standard_deviations():
    torch.manual_seed(0)
    table = Image(100, 100, positions=Learned(16, init_std=1.0)).build().positions
    assert 1.9 < table.abs().max() <= 2
    assert abs(table.std() - 0.8796) < 0.01


def test_positions_may_be_left_out():
    image = torch.rand(2, 4, 5, 3)
    assert torch.equal(Image(4, 5).build()(image), image.reshape(2, 20, 3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fourier(0, 224), "Fourier.bands must be an integer of at least 1, given 0"),
        (lambda: Fourier(4, 1), "max_resolution must be at least 2.*given 1"),
        (lambda: Fourier(4, float("nan")), "max_resolution must be at least 2.*given nan"),
        (lambda: Fourier(4, 8, spacing="linar"), "given 'linar'; did you mean 'linear'?"),
        (lambda: Learned(8, init_std=0), "init_std must be positive, given 0"),
        (lambda: Image(4, 4, positions=Fourier(4, (4, 4, 4))), r"one per axis, given \(4, 4, 4\) for 2 axes"),
        (lambda: Points(9, positions=Fourier(4, (4, 4))), r"given \(4, 4\) for 3 axes"),
        (lambda: Points(9, positions=Learned(4)), "a point's index is arbitrary"),
        (lambda: Image(0, 4), "Image.height must be an integer of at least 1, given 0"),
        (lambda: Image(4, 4, permutation=-1), "Image.permutation must be an integer of at least 0, given -1"),
        (lambda: Video(5, 16, 16), "Video.frames must be divisible by its patch .*given 5 and 2; try 4 or 6"),
    ],
)
def test_impossible_positions_and_grids_are_refused_with_the_way_out(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_the_errors_are_value_errors():
    assert issubclass(ConfigError, ValueError)
    assert issubclass(InputError, ValueError)
