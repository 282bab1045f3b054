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

HOST = "127.0.0.1"


def serve(settings: Settings, port: int) -> int:
    """Run the server until Ctrl-C; print where it is once it listens. Raises PortInUse with a free port to
    try."""
    if settings.tracking.startswith(("http://", "https://")):
        print(f"The record is kept by a server already: open {settings.tracking} in a browser.")
        return 0
    require_free(port)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", settings.tracking, "--artifacts-destination", settings.artifacts,
    ]  # fmt: skip
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    print(f"MLflow UI: http://{HOST}:{port} (ready in some seconds; Ctrl-C ends it)", flush=True)
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()


def require_free(port: int) -> None:
    """Raise PortInUse unless `port` can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as fault:
            with socket.socket() as other:
                other.bind((HOST, 0))
                free = other.getsockname()[1]
            raise PortInUse(
                f"port {port} on {HOST} cannot be used ({fault.strerror}): try `lab ui --port {free}`."
            ) from None
