"""How anything is run: specifications, training, sweeps and the record. Knows nothing of the Perceiver.

What is exported here is light (no torch, Ray or MLflow) and is what specifications are written with.
"""

from lab.durations import Duration, Epochs, Steps
from lab.errors import LabError
from lab.optim.config import AdamW, Constant, CosineAfter, Lamb, Sgd, StepDecay
from lab.resources import Resources
from lab.search import (
    Asha,
    Confirm,
    GaussianProcess,
    Grid,
    Hyperband,
    Median,
    Nsga2,
    QuasiRandom,
    Random,
    Suggest,
    Tpe,
)
from lab.settings import Settings
from lab.spec import Batch, Dataset, Evaluation, ExperimentSpec, Model, Shape, Shard, Source
from lab.sweep import Ablation, Case, Scale, Search, grid
from lab.tagging import Tagging
from lab.tasks import Classification, Task

__all__ = [
    "Ablation",
    "AdamW",
    "Asha",
    "Batch",
    "Case",
    "Classification",
    "Confirm",
    "Constant",
    "CosineAfter",
    "Dataset",
    "Duration",
    "Epochs",
    "Evaluation",
    "ExperimentSpec",
    "GaussianProcess",
    "Grid",
    "Hyperband",
    "LabError",
    "Lamb",
    "Median",
    "Model",
    "Nsga2",
    "QuasiRandom",
    "Random",
    "Resources",
    "Scale",
    "Search",
    "Settings",
    "Sgd",
    "Shape",
    "Shard",
    "Source",
    "StepDecay",
    "Steps",
    "Suggest",
    "Tagging",
    "Task",
    "Tpe",
    "grid",
]
