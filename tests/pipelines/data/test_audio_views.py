"""Sound as models take it: spectrograms against an independent reference, masks by their properties."""

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram

from lab.errors import SpecError
from pipelines.data.audio.log_mel import LogMel
from pipelines.data.audio.raw import RawAudio
from pipelines.data.audio.specaugment import SpecAugment
from pipelines.data.counter import Draws

RATE = 48_000
SAMPLES = 61_440


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, SAMPLES).astype(np.float32)


def tone(frequency: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(SAMPLES) / RATE).astype(np.float32)


@pytest.mark.parametrize(("bins", "window", "hop"), [(80, 2048, 1024), (40, 1024, 512), (64, 2048, 960)])
def test_log_mels_are_those_of_transformers(bins: int, window: int, hop: int) -> None:
    hann = np.hanning(window + 1)[:-1]
    filters = mel_filter_bank(window // 2 + 1, bins, 0, RATE / 2, RATE, norm=None, mel_scale="htk")
    for sound in (noise(), tone(3000) * 0.3 + noise(1) * 0.01):
        decibels = spectrogram(
            sound.astype(np.float64),
            hann / hann.sum(),
            window,
            hop,
            power=2.0,
            mel_filters=filters,
            log_mel="dB",
            dtype=np.float64,
        )
        expected = 1 + np.maximum(decibels.T[: SAMPLES // hop], -100) / 50
        found = LogMel(bins, window, hop).of(sound, RATE)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_a_span_of_the_paper_is_4800_values() -> None:
    assert np.prod(LogMel().shape(SAMPLES)) == 4800
    assert LogMel().of(noise(), RATE).shape == LogMel().shape(SAMPLES) == (60, 80)


@pytest.mark.parametrize("frequency", [440.0, 1000.0, 5000.0, 15000.0])
def test_a_pure_tone_is_loudest_in_its_own_band(frequency: float) -> None:
    mels = 2595 * np.log10(1 + np.array([frequency, RATE / 2]) / 700)
    nearest = round(mels[0] / mels[1] * 81) - 1
    spectra = LogMel().of(tone(frequency), RATE)[1:-1]
    assert (spectra.argmax(axis=1) == nearest).all()


def test_ten_times_the_amplitude_is_20_decibels_and_silence_is_minus_one() -> None:
    loud, quiet = (LogMel().of(factor * noise(), RATE) for factor in (1.0, 0.1))
    np.testing.assert_allclose(50 * (loud - quiet), 20, atol=1e-3)
    assert (LogMel().of(np.zeros(SAMPLES, np.float32), RATE) == -1).all()


def test_bands_finer_than_the_spectrum_are_refused() -> None:
    with pytest.raises(SpecError, match="fewer bins or a longer window"):
        LogMel(bins=512).require_bands(RATE)
    with pytest.raises(SpecError, match="at most its window, 2048 samples, got 4096"):
        LogMel(hop=4096)
    with pytest.raises(SpecError, match=r"LogMel\.bins must be 1 or more, got 0"):
        LogMel(bins=0)


def test_raw_audio_is_left_as_it_is() -> None:
    np.testing.assert_array_equal(RawAudio().of(noise(), RATE, Draws(1)), noise())


def stripes(masked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which frames and which bins of a masked array of ones are blotted out."""
    frames, bins = (masked == 0).all(axis=1), (masked == 0).all(axis=0)
    np.testing.assert_array_equal(masked == 0, frames[:, None] | bins)
    return frames, bins


def test_masks_are_whole_stripes_of_at_most_their_width_and_reach_everywhere() -> None:
    masks = SpecAugment(time_masks=1, time_width=8, frequency_masks=1, frequency_width=10)
    found = [stripes(masks(np.ones((60, 80), np.float32), Draws(key))) for key in range(2000)]
    for axis, widest in ((0, 8), (1, 10)):
        blotted = np.array([each[axis] for each in found])
        assert set(blotted.sum(axis=1)) == set(range(widest + 1))
        assert (np.abs(np.diff(blotted, axis=1)).sum(axis=1) <= 2).all()  # in one piece
        assert blotted.any(axis=0).all()


def test_the_masked_share_is_that_of_uniform_widths() -> None:
    """Two masks over time with mean width 4 of 60, two over frequency with mean 5 of 80, independent."""
    share = np.mean([(SpecAugment()(np.ones((60, 80), np.float32), Draws(key)) == 0) for key in range(3000)])
    expected = 1 - (1 - 4 / 60) ** 2 * (1 - 5 / 80) ** 2
    assert share == pytest.approx(expected, rel=0.05)


def test_masks_depend_on_their_draws_alone() -> None:
    levels = LogMel().of(noise(), RATE)
    masked = [LogMel().of(noise(), RATE, Draws.of(1, 2, example)) for example in range(20)]
    again = [LogMel().of(noise(), RATE, Draws.of(1, 2, example)) for example in range(20)]
    np.testing.assert_array_equal(masked, again)
    assert len({each.tobytes() for each in masked}) > 15
    for each in masked:
        np.testing.assert_array_equal(each[each != 0], levels[each != 0])


def test_masks_may_be_left_out_and_are_never_wider_than_the_spectrogram() -> None:
    np.testing.assert_array_equal(LogMel(masks=None).of(noise(), RATE, Draws(5)), LogMel().of(noise(), RATE))
    assert SpecAugment(time_width=500)(np.ones((4, 3), np.float32), Draws(0)).shape == (4, 3)
    with pytest.raises(SpecError, match=r"SpecAugment\.time_width must be 0 or more, got -1"):
        SpecAugment(time_width=-1)
