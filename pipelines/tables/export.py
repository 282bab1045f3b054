"""Tables as data: JSON with everything that is known of every cell, CSV with one line per cell.

Nothing here depends on the time: the same record gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from pipelines.tables import claims, wording
from pipelines.tables.cell import Cell, Counted, Measured, Missing
from pipelines.tables.paper import Quoted
from pipelines.tables.statistics import CONFIDENCE
from pipelines.tables.table import ResultsTable

FIELDS = (
    "table", "row", "column", "scale", "kind", "state", "done", "of", "why", "value", "unit", "low", "high",
    "n", "at_paper_scale", "paper", "paper_status", "difference", "comparable", "verdict", "best", "metric",
    "selection", "run_ids", "digests", "command", "price_seconds", "price_flop", "price_device",
    "price_device_hours",
)  # fmt: skip
"""The columns of the CSV: one line per cell."""


def csv_text(tables: Sequence[ResultsTable]) -> str:
    """One line per cell of all tables, under one header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for cell in data(table)["cells"]:
            paper, runs = cell["paper"] or {}, cell["runs"]
            flat = cell | {
                "table": table.name,
                "paper": paper.get("text", ""),
                "paper_status": paper.get("status", ""),
                "run_ids": " ".join(run["run_id"] for run in runs),
                "digests": " ".join(cell["digests"]),
            }
            writer.writerow({name: flat[name] for name in FIELDS})
    return out.getvalue()


def json_text(tables: Sequence[ResultsTable]) -> str:
    """Everything that is known of every cell."""
    return (
        json.dumps(
            {"tables": [data(table) for table in tables]}, indent=1, ensure_ascii=False, allow_nan=False
        )
        + "\n"
    )


def data(table: ResultsTable) -> dict[str, Any]:
    """A table as JSON data."""
    winners = table.winners()
    return {
        "name": table.name,
        "title": table.title,
        "scale": table.scale,
        "setting": table.setting,
        "sweep": table.sweep,
        "confidence": CONFIDENCE,
        "cells": [
            {
                "row": row.label,
                "column": column.key,
                **_facts(table, cell),
                "best": (row.label, column.key) in winners,
            }
            for row, column, cell in table.cells()
        ],
        "claims": [
            {
                "claim": finding.claim.sentence,
                "source": finding.claim.source,
                "scale": table.scale,
                "verdict": str(finding.verdict),
                "effect": finding.effect and finding.effect.mean,
                "low": finding.effect and finding.effect.low,
                "high": finding.effect and finding.effect.high,
                "n": finding.effect.n if finding.effect else 0,
                "p_holm": finding.p_value,
                "why": finding.why,
            }
            for finding in claims.findings(table)
        ],
    }


def _hours(cell: Measured | Missing) -> dict[str, Any]:
    if cell.pace is None or cell.price is None:
        return {}
    hours = cell.price * cell.pace.workers / 3600
    return {"price_device": cell.pace.device, "price_device_hours": hours}


def _facts(table: ResultsTable, cell: Cell) -> dict[str, Any]:
    """One cell as JSON data; every kind has the same keys."""
    quoted = cell if isinstance(cell, Quoted) else cell.paper
    facts: dict[str, Any] = dict.fromkeys(
        ("done", "of", "value", "low", "high", "at_paper_scale", "difference", "metric", "selection",
         "command", "price_seconds", "price_flop", "price_device", "price_device_hours")
    ) | {
        "kind": type(cell).__name__.lower(),
        "scale": table.scale if quoted is not cell else "paper",
        "state": wording.state(cell),
        "why": "",
        "unit": "",
        "n": 0,
        "comparable": False,
        "verdict": wording.verdict(cell),
        "paper": quoted
        and {
            "value": quoted.value, "text": quoted.text, "where": quoted.where, "status": quoted.status,
            "sources": list(quoted.sources), "note": quoted.note,
        },
        "runs": [],
        "digests": [],
    }  # fmt: skip
    if isinstance(cell, Counted):
        return facts | {
            "value": cell.value, "unit": cell.quantity, "at_paper_scale": cell.at_paper_scale,
            "comparable": cell.paper is not None,
        }  # fmt: skip
    if isinstance(cell, Measured | Missing):
        asked = cell.measurement
        facts |= {
            "state": str(cell.state), "done": cell.state.done, "of": cell.state.of, "why": cell.state.why,
            "unit": "%", "metric": asked.metric, "selection": asked.selection.name,
            "digests": [spec.digest for spec in asked.specs], "command": asked.command,
            "price_seconds": cell.price, "price_flop": cell.operations,
            **_hours(cell),
        }  # fmt: skip
    if isinstance(cell, Measured):
        of = cell.estimate
        facts |= {
            "value": of.mean, "low": of.low, "high": of.high, "n": of.n, "difference": cell.difference,
            "comparable": cell.comparable,
            "runs": [
                {"seed": r.seed, "run_id": r.run_id, "digest": r.digest, "value": r.value, "step": r.step,
                 "commit": r.commit}
                for r in cell.readings
            ],
        }  # fmt: skip
    return facts
