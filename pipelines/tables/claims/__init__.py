"""Sentences of the paper as tests, each with a verdict: of runs by cells, of the network by counting."""

from pipelines.tables.claims.claim import Claim, Exact, Shown, Verdict, contrast
from pipelines.tables.claims.told import render
from pipelines.tables.claims.verdict import Finding, findings

__all__ = ["Claim", "Exact", "Finding", "Shown", "Verdict", "contrast", "findings", "render"]
