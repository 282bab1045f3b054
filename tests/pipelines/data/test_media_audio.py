"""Sound is read where it is asked for, and stored as it was."""

import io

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from lab.errors import DataError
from pipelines.data.audio import read, transcode
from tests.pipelines.data.recordings import chirp, encoded, mp4, stripes

LOSSLESS = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")]
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


@pytest.mark.parametrize(("kind", "subtype"), LOSSLESS)
def test_any_segment_of_a_lossless_file_is_the_signal_there(kind: str, subtype: str) -> None:
    signal = chirp(44_100, 2.0)
    data = memoryview(encoded(signal, 44_100, kind, subtype))
    for start in (0, 1, 4095, 4096, 50_001, 88_100):
        expected = np.zeros(1000, np.float32)
        expected[: len(signal) - start] = signal[start : start + 1000]
        np.testing.assert_allclose(read.segment(data, start, 1000), expected, atol=1 / 32767)


@pytest.mark.parametrize(("kind", "subtype"), LOSSY)
def test_any_segment_of_a_lossy_file_sounds_like_the_signal_there(kind: str, subtype: str) -> None:
    signal = chirp(48_000, 3.0)
    data = encoded(signal, 48_000, kind, subtype)
    for start in (0, 20_000, 71_234):
        heard, expected = read.segment(data, start, 8000), signal[start : start + 8000]
        # A shift by a few samples would already cost this much at 8 kHz.
        assert np.corrcoef(heard[1000:], expected[1000:])[0, 1] > 0.95


def test_channels_are_averaged() -> None:
    left, right = chirp(8000, 0.5), np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)
    data = encoded(np.stack([left, right], 1), 8000, "WAV", "FLOAT")
    np.testing.assert_allclose(read.segment(data, 500, 1000), ((left + right) / 2)[500:1500], atol=1e-7)


def test_zeros_follow_the_end() -> None:
    data = encoded(np.full(100, 0.25, np.float32), 48_000)
    assert read.segment(data, 90, 20).tolist() == [0.25] * 10 + [0.0] * 10
    assert read.segment(data, 1000, 5).tolist() == [0.0] * 5
    assert read.segment(encoded(np.zeros(0, np.float32), 48_000), 0, 3).tolist() == [0.0] * 3


@pytest.mark.parametrize("rate", [16_000, 32_000, 44_100, 96_000])
def test_resampling_agrees_with_scipys_polyphase_filter(rate: int) -> None:
    """Tones below what either filter begins to dampen, away from the ends."""
    time = np.arange(rate) / rate
    signal = sum(np.sin(2 * np.pi * hertz * time + hertz) for hertz in (110.0, 997.0, 5300.0)) / 4
    heard = transcode.resampled(signal.astype(np.float32), rate)
    up, down = 48_000 // np.gcd(48_000, rate), rate // np.gcd(48_000, rate)
    expected = resample_poly(signal, up, down, window=("kaiser", 12.0))
    assert len(heard) == len(expected) == 48_000
    np.testing.assert_allclose(heard[2000:-2000], expected[2000:-2000], atol=2e-3)


def test_what_48_khz_cannot_hold_is_silent() -> None:
    tone = np.sin(2 * np.pi * 30_000 * np.arange(96_000) / 96_000).astype(np.float32)
    assert np.abs(transcode.resampled(tone, 96_000)[1000:-1000]).max() < 1e-4


def test_16_bits_at_48_khz_are_stored_exactly_and_louder_is_clipped() -> None:
    levels = np.random.default_rng(0).integers(-32768, 32768, 5000, np.int16)
    file = io.BytesIO()
    soundfile.write(file, levels, 48_000, format="WAV", subtype="PCM_16")
    flac, samples = transcode.transcoded(file.getvalue(), 0, 10)
    stored, rate = soundfile.read(io.BytesIO(flac), dtype="int16")
    assert (samples, rate, soundfile.info(io.BytesIO(flac)).format) == (5000, 48_000, "FLAC")
    assert (stored == levels).all()
    loud = transcode.flac(np.array([1.5, -1.5, np.nan], np.float32))
    assert soundfile.read(io.BytesIO(loud), dtype="int16")[0].tolist() == [32767, -32768, 0]


def test_a_stretch_of_a_file_is_stored_and_the_same_bytes_again() -> None:
    signal = chirp(48_000, 4.0)
    data = encoded(signal, 48_000)
    flac, samples = transcode.transcoded(data, 1.0, 2.0)
    assert samples == 96_000
    np.testing.assert_allclose(read.segment(flac, 0, 96_000), signal[48_000:144_000], atol=1.01 / 32767)
    assert transcode.transcoded(data, 1.0, 2.0)[0] == flac


def test_the_sound_of_an_mp4_is_read_from_any_second_on() -> None:
    signal = chirp(48_000, 6.0)
    data = mp4([stripes(0)] * 150, sound=np.stack([signal, signal], 1), rate=48_000)
    assert read.length(data) == pytest.approx(6.0, abs=0.05)
    for begin in (0.0, 0.5, 3.2):
        heard, rate = read.stretch(data, begin, 1.0)
        expected = signal[round(begin * 48_000) :][:48_000]
        assert (len(heard), rate) == (48_000, 48_000)
        assert np.corrcoef(heard, expected)[0, 1] > 0.95


@pytest.mark.parametrize("data", [b"", b"no sound at all" * 100, encoded(chirp(8000, 1.0), 8000)[:30]])
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    for reading in (lambda: read.segment(data, 0, 10), lambda: transcode.transcoded(data, 0, 1)):
        with pytest.raises(DataError, match="cannot be decoded"):
            reading()


def test_a_flac_that_is_cut_or_damaged_is_refused_where_it_breaks_off() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000).astype(np.float32)
    data = encoded(noise, 48_000, "FLAC")
    cut = data[: len(data) // 2]
    np.testing.assert_allclose(read.segment(cut, 100, 1000), noise[100:1100], atol=1 / 32767)
    with pytest.raises(DataError, match=r"cannot be decoded|breaks off"):
        read.segment(cut, 40_000, 1000)


def test_files_without_any_sample_or_sound_are_refused() -> None:
    with pytest.raises(DataError, match="it holds no sound"):
        transcode.transcoded(encoded(np.zeros(0, np.float32), 48_000), 0, 10)
    with pytest.raises(DataError, match="it has no audio track"):
        transcode.transcoded(mp4([stripes(0)] * 5), 0, 10)
