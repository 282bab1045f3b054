"""Frames are those of their time, however the video is coded, and sound stays with them.

Frame numbers are read from the pictures; what they must be follows from the times they were made with.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from lab.errors import DataError
from pipelines.data.audio import transcode as audio
from pipelines.data.video import read, transcode
from tests.pipelines.data.recordings import TONE, beep, encoded, mp4, number, stripes

PICTURES = [stripes(count) for count in range(130)]
CODINGS = {
    "as stored": {"g": "16", "bf": "0", "sc_threshold": "0", "tune": "fastdecode"},
    "far key frames": {"g": "250", "bf": "0", "sc_threshold": "0"},
    "reordered": {"g": "30", "bf": "3", "b-pyramid": "normal"},
    "open groups": {"g": "12", "bf": "2", "x264-params": "open-gop=1"},
}


def numbers(data: bytes, start: int, count: int) -> list[int]:
    return [number(frame) for frame in read.frames(data, start, count)]


def all_frames(data: bytes) -> Iterator[Any]:
    with av.open(io.BytesIO(data)) as container:
        yield from (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))


@pytest.mark.parametrize("coding", CODINGS)
def test_any_clip_is_exactly_those_frames_of_the_whole(coding: str) -> None:
    data = memoryview(mp4(PICTURES, **CODINGS[coding]))
    whole = np.stack(list(all_frames(data)))
    assert [number(frame) for frame in whole] == list(range(130))
    for start in (0, 1, 15, 16, 17, 31, 59, 61, 98):
        assert (read.frames(data, start, 32) == whole[start : start + 32]).all()


def test_the_last_frame_is_repeated_past_the_end() -> None:
    data = mp4(PICTURES[:40])
    assert numbers(data, 30, 20) == [*range(30, 40), *[39] * 10]
    assert numbers(data, 100, 3) == [39, 39, 39]
    assert numbers(mp4(PICTURES[:1]), 0, 4) == [0, 0, 0, 0]


@pytest.mark.parametrize("fps", [10, 15, 24, 30, 50, 60])
def test_frames_of_another_rate_are_off_by_less_than_half_a_step(fps: int) -> None:
    data = mp4(PICTURES[: fps * 2], fps, bf="2")
    shown = numbers(data, 0, 50)
    late = np.array([source / fps - place / 25 for place, source in enumerate(shown)])
    # Slower sources repeat frames: each is shown until the next one is due.
    assert late.max() <= 0.02
    assert late.min() >= -max(0.02, 1 / fps - 0.02) - 1e-9
    assert shown == sorted(shown)
    assert len(set(shown)) == min(50, fps * 2)


def test_frames_of_a_varying_rate_are_shown_when_they_are_due() -> None:
    times = [Fraction(t, 100) for t in (0, 4, 8, 40, 44, 47, 50, 100, 104, 180)]
    data = mp4(PICTURES[:10], times=times, bf="0")
    due = [max(i for i, time in enumerate(times) if time < Fraction(2 * k + 1, 50)) for k in range(46)]
    assert numbers(data, 0, 46) == due
    assert numbers(data, 20, 20) == due[20:40]


def test_stored_video_is_25_frames_a_second_of_256_pixels_with_a_key_frame_every_16() -> None:
    large = [stripes(count, 480, 360) for count in range(72)]
    stored, count = transcode.transcoded(mp4(large, 30, g="250", bf="3"), 0.0, 10.0)
    assert count == 60
    with av.open(io.BytesIO(stored)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.has_b_frames) == ("h264", 0)
        assert (stream.average_rate, stream.width, stream.height) == (25, 342, 256)
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0, 16, 32, 48]
    assert all(packet.pts == packet.dts for packet in packets)
    assert [packet.pts * packet.time_base for packet in packets] == [Fraction(k, 25) for k in range(60)]


def test_stored_video_shows_what_was_there() -> None:
    stored, _ = transcode.transcoded(mp4(PICTURES, g="250", bf="3"), 1.0, 3.0)
    assert numbers(stored, 0, 75) == list(range(25, 100))
    inside = (slice(70, 84), slice(5, 150))
    shown = read.frames(stored, 20, 1)[0]
    assert np.abs(shown[inside].astype(int) - PICTURES[45][inside]).mean() < 8


@pytest.mark.parametrize(
    ("width", "height", "stored"),
    [(640, 360, (456, 256)), (360, 640, (256, 456)), (90, 160, (90, 160)), (260, 260, (256, 256))],
)
def test_video_keeps_its_shape_and_is_not_enlarged(width: int, height: int, stored: tuple[int, int]) -> None:
    data, _ = transcode.transcoded(mp4([stripes(5, width, height)]), 0.0, 1.0)
    assert read.frames(data, 0, 1).shape == (1, stored[1], stored[0], 3)


def test_the_same_video_gives_the_same_bytes_in_any_thread() -> None:
    data = mp4(PICTURES[:60], 30)
    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(lambda _: transcode.transcoded(data, 0.0, 10.0)[0], range(4)))
    assert set(stored) == {stored[0]}


@pytest.mark.parametrize(("space", "full"), [(1, False), (1, True), (6, False), (5, True)])
def test_colours_are_kept_from_whichever_way_they_were_coded(space: int, full: bool) -> None:
    colours = [(200, 40, 30), (20, 180, 60), (30, 60, 210)]
    picture = np.repeat(np.array(colours, np.uint8), 64, axis=0)[None].repeat(64, 0)
    # ITU-R BT.709 and BT.601: red's and blue's share of the luminance.
    red, blue = (0.2126, 0.0722) if space == 1 else (0.299, 0.114)
    r, g, b = (picture[:, :, channel] / 255 for channel in range(3))
    luma = red * r + (1 - red - blue) * g + blue * b
    planes = [luma, (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)]
    scale = [(255, 0), (255, 128), (255, 128)] if full else [(219, 16), (224, 128), (224, 128)]
    levels = [np.rint(plane * a + c).astype(np.uint8) for plane, (a, c) in zip(planes, scale, strict=True)]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = 64, 192, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 2 if full else 1
        frame = av.VideoFrame.from_ndarray(np.stack(levels), format="yuv444p")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    stored, _ = transcode.transcoded(file.getvalue(), 0.0, 1.0)
    for film in (file.getvalue(), stored):
        shown = read.frames(film, 0, 1)[0]
        for place, colour in enumerate(colours):
            assert np.abs(shown[32, 64 * place + 32] - np.array(colour, int)).max() <= 6


SOURCES = {
    "30 fps, 44.1 kHz stereo": {"fps": 30, "rate": 44_100},
    "25 fps, 48 kHz, reordered": {"fps": 25, "rate": 48_000, "bf": "3"},
    "24 fps, 32 kHz, in mkv": {"fps": 24, "rate": 32_000, "kind": "matroska"},
    "30 fps, opus": {"fps": 30, "rate": 48_000, "codec": "libopus"},
    "sound that begins late": {"fps": 30, "rate": 44_100, "sound_from": 0.5},
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("begin", [0.0, 2.4])
def test_beep_and_flash_coincide_within_half_a_frame(source: str, begin: float) -> None:
    options: dict[str, Any] = SOURCES[source]
    fps, rate, late = options["fps"], options["rate"], options.get("sound_from", 0.0)
    at = [1.0, 3.0, 4.0]  # on a frame of every source
    lit = [any(time <= frame / fps < time + 0.1 - 1e-9 for time in at) for frame in range(5 * fps)]
    pictures = [np.full((90, 160, 3), 255 if each else 20, np.uint8) for each in lit]
    data = mp4(pictures, sound=beep(rate, 5 - late, [time - late for time in at], 2), **options)
    film, frames = transcode.transcoded(data, begin, 2.0 if begin else 10.0)
    flac, samples = audio.transcoded(data, begin, 2.0 if begin else 10.0)
    assert samples / 48_000 == pytest.approx(frames / 25, abs=0.1)
    bright = read.frames(film, 0, frames).mean((1, 2, 3)) > 127
    flashes = [k / 25 for k in range(frames) if bright[k] and not (k and bright[k - 1])]
    beeps = onsets(soundfile.read(io.BytesIO(flac))[0])
    assert len(flashes) == len(beeps) == sum(begin <= time < begin + (2.0 if begin else 10.0) for time in at)
    np.testing.assert_allclose(flashes, beeps, atol=0.02 + 0.002)


def onsets(sound: np.ndarray[Any, Any]) -> list[float]:
    """Seconds at which tones begin, by their strength in windows of 5 ms."""
    wave = np.exp(-2j * np.pi * TONE * np.arange(len(sound)) / 48_000)
    strength = np.abs(np.convolve(sound * wave, np.ones(240) / 240, "same"))
    loud = strength > 0.125
    return [float(i) / 48_000 for i in np.flatnonzero(loud[1:] & ~loud[:-1])]


def test_what_has_no_video_is_refused() -> None:
    with pytest.raises(DataError, match="it has no video track"):
        read.frames(mp4(sound=beep(44_100, 1.0, [0.5], 2)), 0, 4)
    for data in (b"", b"no video" * 200, encoded(beep(8000, 1.0, [0.5]), 8000)[:20]):
        with pytest.raises(DataError, match="it cannot be decoded"):
            read.frames(data, 0, 4)


def test_an_mp4_that_is_cut_short_is_refused() -> None:
    data = mp4(PICTURES[:50])
    with pytest.raises(DataError, match="it cannot be decoded"):
        read.frames(data[: len(data) // 2], 0, 4)


def test_a_list_of_files_named_like_a_video_opens_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.mp4").write_bytes(mp4(PICTURES[:5]))
    listing = b"ffconcat version 1.0\nfile other.mp4\n"
    with av.open(io.BytesIO(listing)) as container:
        assert len(list(container.decode(video=0))) == 5
    with pytest.raises(DataError, match="it cannot be decoded"):
        read.frames(listing, 0, 1)
