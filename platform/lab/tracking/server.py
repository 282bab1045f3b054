"""The MLflow server over the embedded record, for people to look at. Loopback only.

One worker: with several, uvicorn's sockets wait out a delayed acknowledgement on every request, 44 ms each.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from lab.errors import PortInUse
from lab.settings import Settings
from lab.tracking.address import shown

HOST = "127.0.0.1"


def serve(settings: Settings, port: int) -> int:
    """Run the server until Ctrl-C; print where it is once it listens. Raises PortInUse with a free port to
    try, and what opening the record raises.

    The record's address goes through the environment: every user of the machine can read command lines.
    """
    if settings.tracking.startswith(("http://", "https://")):
        print(f"The record is kept by a server already: open {shown(settings.tracking)} in a browser.")
        return 0
    require_free(port)
    _make_record(settings)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": settings.tracking,
        "MLFLOW_ARTIFACTS_DESTINATION": settings.artifacts,
    }
    print(f"MLflow UI: http://{HOST}:{port} (ready in some seconds; Ctrl-C ends it)", flush=True)
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()


def _make_record(settings: Settings) -> None:
    """A server that finds no record would make one of its own, table by table."""
    from lab.tracking.mlflow import MlflowTracker

    MlflowTracker(settings)


def require_free(port: int, flag: str = "--port") -> None:
    """Raise PortInUse unless `port`, given with `flag`, can be bound."""
    if not 1 <= port <= 65535:
        raise PortInUse(f"ports are 1 to 65535, got {port}: try `lab ui {flag} {free_port()}`.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as fault:
            raise PortInUse(
                f"port {port} on {HOST} cannot be used ({fault.strerror}): try `lab ui {flag} {free_port()}`."
            ) from None


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
