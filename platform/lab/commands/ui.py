"""`lab ui`: the record in the MLflow UI, of this machine or, with --cluster, of the cluster's head."""

from __future__ import annotations

import argparse
import urllib.error
import urllib.request
from pathlib import Path

from lab.errors import PortInUse
from lab.settings import Settings
from lab.tracking.server import free_port, require_free, serve
from lab.tunnel import DASHBOARD, HOST, RECORD, Head, opened

LOOK_SECONDS = 5.0


def ui(arguments: argparse.Namespace) -> int:
    """Serve the record on the loopback interface until Ctrl-C."""
    if arguments.cluster:
        return of_cluster(Path(arguments.cluster), arguments.port, arguments.dashboard_port)
    return serve(Settings.load(), port=arguments.port or RECORD)


def of_cluster(file: Path, port: int | None, dashboard_port: int | None) -> int:
    """A tunnel to the head's MLflow and Ray dashboard until Ctrl-C; where they are, and how one gets in.

    Raises SpecError where the file does not say where the head is, LabError where the tunnel does not stand,
    PortInUse where a port that was asked for is taken.
    """
    from lab.health import configuration

    head = Head.of(configuration.read(file), file)
    ends = {
        RECORD: _end(port, RECORD, "--port"),
        DASHBOARD: _end(dashboard_port, DASHBOARD, "--dashboard-port"),
    }
    with opened(head, ends) as tunnel:
        for line in told(head, ends, {there: served(here) for there, here in ends.items()}):
            print(line, flush=True)
        try:
            tunnel.wait()
        except KeyboardInterrupt:
            print("\nclosed; jobs of the cluster go on")
    return 0


def told(head: Head, ends: dict[int, int], there: dict[int, bool]) -> list[str]:
    """What a person is told: two addresses, where the token is, what to export, how it ends."""
    record, dashboard = (f"http://{HOST}:{ends[port]}" for port in (RECORD, DASHBOARD))
    away = "  (does not answer yet; on the head: {})"
    no_record = "" if there[RECORD] else away.format("`bash ~/lab/record.sh start`")
    no_dashboard = "" if there[DASHBOARD] else away.format("`ray status`")
    exports = f"  export LAB_TRACKING={record}"
    if ends[DASHBOARD] != DASHBOARD:
        exports += f" RAY_API_SERVER_ADDRESS={dashboard}"
    return [
        f"MLflow: {record}{no_record}",
        f"Ray dashboard: {dashboard}{no_dashboard}",
        "  Ray asks for the cluster's token: the line in ~/.ray/auth_token (or in RAY_AUTH_TOKEN)",
        "for `lab submit` and `lab tables` in another terminal:",
        exports,
        f"through SSH to {head.user}@{head.address}; Ctrl-C closes the tunnel",
    ]


def served(port: int) -> bool:
    """Whether an HTTP server answers through this end of the tunnel, whatever it says."""
    try:
        urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=LOOK_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _end(asked: int | None, usual: int, flag: str) -> int:
    """The port here: the one asked for, else the usual one, else any. Raises PortInUse."""
    if asked is not None:
        require_free(asked, flag)
        return asked
    try:
        require_free(usual)
    except PortInUse:
        return free_port()
    return usual
