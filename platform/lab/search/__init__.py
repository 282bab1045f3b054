"""Searching a space: what is asked, by which sampler, judged by what, pruned how, and confirmed afterwards.

What is exported here is light: it is what searches are stated with. `study` and what it needs meet Optuna."""

from lab.search.confirm import Confirm
from lab.search.pruning import Asha, Hyperband, Median, Pruning
from lab.search.samplers import GaussianProcess, Grid, Nsga2, QuasiRandom, Random, Sampler, Tpe
from lab.search.space import Suggest

__all__ = [
    "Asha",
    "Confirm",
    "GaussianProcess",
    "Grid",
    "Hyperband",
    "Median",
    "Nsga2",
    "Pruning",
    "QuasiRandom",
    "Random",
    "Sampler",
    "Suggest",
    "Tpe",
]
