"""`lab doctor`: what is wrong with a cluster, or with the configuration of one, and what to do."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lab.errors import LabError, TrackingUnreachable
from lab.health import Finding, Level
from lab.health.finding import fault, fine
from lab.settings import Settings
from lab.tracking.address import require_answer, shown

SECRET = re.compile(r"token|secret|password|passwd|key|credential", re.IGNORECASE)
OURS = ("LAB_", "RAY_", "AWS_", "MLFLOW_", "NCCL_", "GLOO_", "CUDA_")


def doctor(arguments: argparse.Namespace) -> int:
    """Look, tell, and end with 1 where there is a fault. As a job (`lab submit --follow doctor`) it looks at
    every node of the cluster; with --config it looks at a configuration, its hosts or its cloud."""
    nodes: Sequence[Any] = ()
    if arguments.config:
        found = list(configuration(Path(arguments.config)))
    else:
        nodes, found = examined(Settings.load())
    for finding in found:
        print(finding)
    faults = sum(finding.level is Level.FAULT for finding in found)
    print(f"{faults} faults" if faults != 1 else "1 fault")
    if arguments.bundle:
        write(Path(arguments.bundle), found, nodes)
        print(f"report without secrets: {arguments.bundle}")
    return 1 if faults else 0


def configuration(file: Path) -> Iterator[Finding]:
    """What can be told before money is spent."""
    from lab.health import aws, configuration, hosts

    config = configuration.read(file)
    yield from configuration.findings(config, file.name)
    kind = (config.get("provider") or {}).get("type")
    if kind == "local":
        yield from hosts.findings(config)
    if kind == "aws":
        yield from aws.findings(config)


def examined(settings: Settings) -> tuple[Sequence[Any], list[Finding]]:
    """Every node of the Ray that RAY_ADDRESS names, else this machine; and the record."""
    from lab.health import cluster

    answers = cluster.ask(settings)
    found = list(cluster.findings(answers, joined=settings.ray is not None))
    try:
        require_answer(settings.tracking)
        found.append(fine("the record", f"{shown(settings.tracking)} answers"))
    except TrackingUnreachable as away:
        found.append(fault("the record", str(away), "On the head: `bash ~/lab/record.sh start`"))
    return answers, found


def write(file: Path, found: Sequence[Finding], nodes: Sequence[Any]) -> None:
    """A report to send to somebody. Raises LabError."""
    report = {
        "system": platform.platform(),
        "environment": {
            name: "(not shown)" if SECRET.search(name) else shown(value)
            for name, value in sorted(os.environ.items())
            if name.startswith(OURS)
        },
        "findings": [dataclasses.asdict(finding) for finding in found],
        "nodes": [dataclasses.asdict(node) for node in nodes],
    }
    try:
        file.write_text(json.dumps(report, indent=1, default=str) + "\n")
    except OSError as why:
        raise LabError(f"--bundle {file}: cannot be written ({why.strerror or why}).") from None
