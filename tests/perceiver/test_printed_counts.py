"""Parameters and operations against the paper's Tables 5 to 7 and what follows from them."""

from dataclasses import replace

import pytest
import torch

from perceiver import Audio, Fourier, Image, Learned, PerceiverConfig, Points, count, variants


@pytest.mark.parametrize(
    ("cross_attends", "gflop", "millions"), [(4, 173.1, 12.7), (8, 346.1, 23.8), (12, 519.2, 34.9)]
)
def test_table_5_is_met_to_the_printed_digit(cross_attends, gflop, millions):
    config = variants.no_latent_transformer(cross_attends)
    assert round(config.flops() / 1e9, 1) == gflop
    assert round(config.parameters() / 1e6, 1) == millions


@pytest.mark.parametrize("placement", ["at_start", "interleaved"])
@pytest.mark.parametrize(
    # The table prints 41.1M for one cross-attend at the start, and 42.1M for the same network interleaved.
    ("cross_attends", "gflop", "millions"),
    [(1, 404.3, 42.1), (2, 447.6, 44.9), (4, 534.1, 44.9), (8, 707.2, 44.9)],
)
def test_table_6_is_met_to_the_printed_digit(cross_attends, placement, gflop, millions):
    config = variants.imagenet(cross_attends=cross_attends, placement=placement)
    assert round(config.flops() / 1e9, 1) == gflop
    assert round(config.parameters() / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("config", "millions"), [(variants.imagenet_unshared(), 326.2), (variants.imagenet(), 44.9)]
)
def test_table_7_is_met_to_the_printed_digit(config, millions):
    assert round(config.parameters() / 1e6, 1) == millions
    assert round(config.flops() / 1e9, 1) == 707.2


FIGURE_5 = variants.figure5()
RAW_512, MEL_512 = variants.audioset_raw_video(), variants.audioset_mel_video()
RAW_1024 = variants.audioset_raw_video(latent_channels=1024)


@pytest.mark.parametrize(
    ("config", "parameters", "gflop"),
    [
        pytest.param(variants.imagenet(), 44_912_254, 707.20, id="imagenet"),
        pytest.param(variants.imagenet_unshared(), 326_241_856, 707.20, id="imagenet-unshared"),
        pytest.param(variants.imagenet(cross_attends=1), 42_135_859, 404.35, id="one-cross-attend"),
        pytest.param(variants.no_latent_transformer(4), 12_654_868, 173.06, id="table-5-4"),
        pytest.param(variants.no_latent_transformer(8), 23_760_448, 346.12, id="table-5-8"),
        pytest.param(variants.no_latent_transformer(12), 34_866_028, 519.18, id="table-5-12"),
        pytest.param(variants.figure5_base(), 15_264_382, 99.99, id="figure-5-base"),
        pytest.param(FIGURE_5["num_latents"][256], 15_133_310, 62.58, id="figure-5-n256"),
        pytest.param(FIGURE_5["num_latents"][1024], 15_526_526, 181.33, id="figure-5-n1024"),
        pytest.param(FIGURE_5["latent_channels"][256], 4_362_366, 87.10, id="figure-5-d256"),
        pytest.param(FIGURE_5["latent_channels"][1024], 57_515_646, 146.71, id="figure-5-d1024"),
        pytest.param(FIGURE_5["self_attends_per_block"][2], 8_952_446, 91.38, id="figure-5-depth2"),
        pytest.param(FIGURE_5["self_attends_per_block"][8], 27_888_254, 117.22, id="figure-5-depth8"),
        pytest.param(FIGURE_5["cross_attends"][1], 8_019_763, 50.00, id="figure-5-t1"),
        pytest.param(FIGURE_5["cross_attends"][4], 29_753_620, 199.98, id="figure-5-t4"),
        pytest.param(variants.imagenet_learned(), 48_189_577, 380.49, id="imagenet-learned"),
        pytest.param(variants.modelnet40(), 44_772_202, 101.89, id="modelnet40"),
        # The derivation left out the modality vectors: 4 for the video, 487 - 257 or 487 - 130 for sound.
        pytest.param(RAW_512, 28_786_905 + 4 + 230, 87.29, id="audioset-raw-512"),
        pytest.param(MEL_512, 28_786_905 + 4 + 357, 104.11, id="audioset-mel-512"),
        pytest.param(RAW_1024, 109_048_537 + 4 + 230, 177.43, id="audioset-raw-1024"),
    ],
)
def test_derived_counts_are_met_exactly(config, parameters, gflop):
    assert config.parameters() == parameters
    assert round(config.flops() / 1e9, 2) == gflop


def test_perceiver_io_prints_the_same_counts_for_its_runs_of_the_perceiver():
    # Perceiver IO, Table 10: 12 shared layers after one cross-attend, on the AudioSet inputs.
    raw, mel = (
        replace(config, sharing="none", cross_attends=1, blocks=1, self_attends_per_block=12)
        for config in (RAW_512, MEL_512)
    )
    assert round(raw.parameters() / 1e6, 1) == round(mel.parameters() / 1e6, 1) == 21.0
    assert round(raw.flops() / 1e9, 1) == 52.3
    assert round(mel.flops() / 1e9, 1) == 60.7


def test_one_cross_attend_and_one_self_attend_cost_what_the_paper_implies():
    config = variants.imagenet()
    assert count.cross_attend_parameters(config) == 2_776_395
    assert count.self_attend_parameters(config) == 6_301_696
    # Table 5's rows differ by cross-attends alone; Table 6's first row then leaves 48 self-attends.
    cross_attend = (519.2 - 173.1) / 8
    assert abs(count.cross_attend_flops(config) / 1e9 - cross_attend) < 0.1 / 8
    assert abs(count.self_attend_flops(config) / 1e9 - (404.3 - cross_attend) / 48) < 0.1 / 48


SMALL = PerceiverConfig(
    inputs=Image(8, 6, channels=2, positions=Fourier(3, 8)),
    num_latents=5,
    latent_channels=16,
    blocks=4,
    self_attends_per_block=2,
    cross_attends=2,
    self_heads=4,
    num_classes=7,
)


@pytest.mark.parametrize(
    "config",
    [
        *(
            pytest.param(replace(SMALL, sharing=s), id=s)
            for s in ("none", "published", "first_block_own", "all")
        ),
        pytest.param(replace(SMALL, widening=3, qkv_channels="min"), id="wide"),
        pytest.param(replace(SMALL, inputs=Image(8, 8, positions=Learned(9))), id="learned"),
        pytest.param(replace(SMALL, inputs=Points(11, positions=None)), id="points"),
        pytest.param(replace(SMALL, inputs=Audio(64, patch=8, positions=Learned(5))), id="audio"),
        pytest.param(replace(SMALL, self_attends_per_block=0, sharing="none"), id="no-latent-transformer"),
        pytest.param(variants.imagenet(), id="imagenet"),
        pytest.param(variants.imagenet_unshared(), id="imagenet-unshared"),
        pytest.param(variants.imagenet_learned(), id="imagenet-learned"),
        pytest.param(variants.modelnet40(), id="modelnet40"),
        pytest.param(variants.audioset_raw(), id="audioset-raw"),
        pytest.param(variants.audioset_mel(), id="audioset-mel"),
        pytest.param(variants.audioset_video(), id="audioset-video"),
        pytest.param(variants.audioset_mel_video(), id="audioset-mel-video"),
    ],
)
def test_parameters_counted_are_parameters_built(config):
    with torch.device("meta"):
        model = config.build()
    assert config.parameters() == sum(p.numel() for p in model.parameters())


def test_operations_counted_are_the_matrix_products_executed():
    from torch.utils.flop_counter import FlopCounterMode

    model = SMALL.build()
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 8, 6, 2))
    m, n = 48, 5
    softmax_elements = SMALL.cross_attends * n * m + SMALL.blocks * SMALL.self_attends_per_block * 4 * n * n
    assert SMALL.flops() - 3 * softmax_elements == counter.get_total_flops()
