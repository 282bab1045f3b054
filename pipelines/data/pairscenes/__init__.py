"""PairScenes: 5,400 generated images of nine classes, in place of ImageNet at laptop scale, no download.

A class is how a warm disc lies to a cool one (above, below, beside) and a green one to a magenta one. Every
class has the same discs, so that without places they are one, and no class changes in a mirror.

Top-1 on the test split at laptop scale, seeds 0, 1 and 2 of `sweeps.experiments.pairscenes`, each trained in
20 s of one core; never to stand beside the paper's numbers:

    Perceiver, Fourier positions    96.0  95.2  94.0    on permuted pixels the same logits
    Perceiver, no positions         10.8  11.1  12.0    chance is 11.1
    ResNet                          94.8  94.3  95.0    on permuted pixels 62.2  61.7  61.7
    ViT                             74.9  95.6  87.2    on permuted pixels 50.3  43.0  50.2
    logistic regression on pixels   52.3
"""

from pipelines.data.pairscenes.preparation import VERSION, prepare
from pipelines.data.pairscenes.view import PairScenes, dataset

__all__ = ["VERSION", "PairScenes", "dataset", "prepare"]
