"""MeshZoo: 2,700 generated meshes of ten kinds, in place of ModelNet40 at laptop scale, no download.

Ten kinds, alike in pairs and threes (block and cylinder, cone and pyramid, bottle and vase), each stretched,
turned about its upright axis and laid on any side: no size or moment gives a kind away.

Top-1 on the test split at laptop scale, seeds 0, 1 and 2 of `sweeps.experiments.meshzoo`, each trained in
20 s of one core; never to stand beside the paper's numbers:

    Perceiver, Fourier features        80.6  84.2  82.4
    Perceiver, coordinates             32.6  24.8  29.0    chance is 10
    logistic regression on statistics  65.8    (means, spreads, extremes, distances from the centre)
    logistic regression on coordinates  8.8
"""

from pipelines.data.meshzoo.preparation import VERSION, prepare
from pipelines.data.meshzoo.view import MeshZoo, dataset

__all__ = ["VERSION", "MeshZoo", "dataset", "prepare"]
