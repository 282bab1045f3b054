"""Sound in its own encoding as samples: any stretch of it, without decoding the rest.

wav, flac, mp3, ogg and opus are read by libsndfile, everything else (the sound of an mp4) by FFmpeg.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data import media
from pipelines.data.media import Encoded

Samples = NDArray[np.float32]
"""(samples,), one channel, full scale from -1 to 1."""


def segment(data: Encoded, start: int, samples: int) -> Samples:
    """(samples,) from sample `start` on, at the stored rate; channels are averaged, zeros follow the end.

    Only for what libsndfile reads. Raises DataError when it cannot be decoded or breaks off.
    """
    import soundfile

    mono = np.zeros(samples, np.float32)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            wanted = max(0, min(samples, sound.frames - start))
            if wanted:
                read = _read(sound, start, wanted)
                if len(read) < wanted:
                    raise DataError(f"it breaks off at sample {start + len(read)} of {sound.frames}.")
                mono[:wanted] = downmixed(read)
    except (soundfile.SoundFileError, RuntimeError) as fault:
        raise DataError(f"it cannot be decoded: {fault}") from None
    return mono


def stretch(data: Encoded, begin: float, seconds: float) -> tuple[Samples, int]:
    """((samples,), samples per second) from `begin` on: `seconds` of it, or as much as there is.

    Time counts from the first frame of the video where there is one: sound that begins later is preceded by
    zeros, what is heard earlier is dropped. Raises DataError when it cannot be decoded or there is none.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            rate = int(sound.samplerate)
            start = min(round(begin * rate), sound.frames)
            return downmixed(_read(sound, start, round(seconds * rate))), rate
    except (soundfile.SoundFileError, RuntimeError):
        with media.opened(data) as container:
            if not container.streams.audio:
                raise DataError("it has no audio track.") from None
            return _track(container, container.streams.audio[0], begin, seconds)


def length(data: Encoded) -> float:
    """Seconds that a file of sound or video says it lasts. Raises DataError."""
    import soundfile

    try:
        return float(soundfile.info(io.BytesIO(data)).duration)
    except (soundfile.SoundFileError, RuntimeError):
        with media.opened(data) as container:
            return float((container.duration or 0) / 1_000_000)


def _read(sound: Any, start: int, samples: int) -> NDArray[np.float32]:
    """(samples, channels) or as many as there are."""
    # libsndfile goes to a wrong place in MP3: there all before it is decoded too, in one piece.
    if sound.format == "MP3":
        return np.asarray(sound.read(start + samples, dtype="float32", always_2d=True))[start:]
    sound.seek(start)
    return np.asarray(sound.read(samples, dtype="float32", always_2d=True))


def _track(container: Any, stream: Any, begin: float, seconds: float) -> tuple[Samples, int]:
    """A stretch of the audio track of a container that FFmpeg reads."""
    import av

    clock = (*container.streams.video, stream)[0]
    begin += float((clock.start_time or 0) * clock.time_base)
    if begin > 1:
        # Some codecs need what comes before to sound right.
        container.seek(int((begin - 1) * av.time_base))
    planar = av.AudioResampler(format="fltp")
    pieces: list[NDArray[np.float32]] = []
    rate, first, filled = stream.rate, 0, 0
    for frame in container.decode(stream):
        if not pieces:
            first = round(float((frame.pts or 0) * frame.time_base - begin) * rate)
        pieces += [piece.to_ndarray() for piece in planar.resample(frame)]
        filled = first + sum(piece.shape[1] for piece in pieces)
        if filled >= seconds * rate:
            break
    if not pieces:
        raise DataError("its audio track holds no sound.")
    mono = downmixed(np.concatenate(pieces, axis=1).T)[max(0, -first) :]
    return np.pad(mono, (max(0, first), 0))[: round(seconds * rate)], rate


def downmixed(channels: NDArray[np.float32]) -> Samples:
    """(samples, channels) -> (samples,), the mean."""
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)
