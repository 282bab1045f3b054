"""The exact fast cross-attention: the plain formula, and two ways to it that cost less.

plain        keys and values of every element            any inputs; the oracle
absorbed     projections moved to the latents            any inputs
factorised   and position features never built           inputs on a grid with Fourier positions
"""

from perceiver.kernels.choose import AttentionPath, Choice, CrossAttendShape, Path, choose
from perceiver.kernels.grid import Grid, GridPositions, grid_positions, prepare
from perceiver.kernels.grid_inputs import GridInputs
from perceiver.kernels.normalised import NormalisedInputs, normalise
from perceiver.kernels.projections import Projections
from perceiver.kernels.reference import plain_attention

__all__ = [
    "AttentionPath",
    "Choice",
    "CrossAttendShape",
    "Grid",
    "GridInputs",
    "GridPositions",
    "NormalisedInputs",
    "Path",
    "Projections",
    "choose",
    "grid_positions",
    "normalise",
    "plain_attention",
    "prepare",
]
