"""Jobs on a cluster: the only door to Ray's job server.

The server listens on 127.0.0.1 of the head, so it is reached through a tunnel, and it wants the cluster's
token. A job is a `lab` command; the same command twice is one job, found by the digest of its words.
"""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import json
import logging
import os
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.arrival import ACCEPTED, REFUSED
from lab.errors import LabError, SpecError, UnknownName
from lab.parcel import pack
from lab.settings import Settings
from lab.tracking.provenance import provenance

if "ray" not in sys.modules:  # read while Ray is imported; later it would only mislead what Ray starts
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from lab.cluster import WORKERS

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
ACTIVE = {"PENDING", "RUNNING"}
ACCEPT_SECONDS = 180.0
"""how long a cluster may take to unpack a job and look at its environment"""
STOP_SECONDS = 60
"""for checkpoints to be written before a job is killed"""
LABEL = "lab."
"""how our entries in a job's metadata begin"""
KEY_ADVICE = (
    "RAY_AUTH_TOKEN or ~/.ray/auth_token must hold the one that the cluster was started with "
    "(`ray get-auth-token --generate` makes it, before `ray up`)"
)


@dataclass(frozen=True)
class Job:
    """name: what `lab logs` and `lab stop` take · status: Ray's word · key: digest of the command · begun:
    seconds since the epoch, None while it waits"""

    name: str
    status: str
    command: str
    key: str
    priority: int
    begun: float | None
    ended: float | None
    commit: str

    @property
    def active(self) -> bool:
        return self.status in ACTIVE


def key_of(words: Sequence[str]) -> str:
    """The digest by which a job is found again."""
    return hashlib.sha256(json.dumps(list(words)).encode()).hexdigest()[:12]


class Jobs:
    """The jobs of one cluster."""

    def __init__(self, address: str = "") -> None:
        """address: of the job server; default RAY_API_SERVER_ADDRESS, else the tunnel's end,
        127.0.0.1:8265.

        Raises LabError where nobody answers, the token is refused, or another Ray runs there.
        """
        self.address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS
        require_private(self.address)
        with self._told():
            self._client = JobSubmissionClient(self.address)
            for talkative in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
                logging.getLogger(talkative).setLevel(logging.ERROR)  # after Ray has set its own
            there = self._client._do_request("GET", "/api/version").json().get("ray_version")
        if there != ray.__version__:
            raise LabError(
                f"the cluster runs Ray {there}, this environment has {ray.__version__}: install the locked "
                "one on both sides (`make install` here, `ray up` there)."
            )

    def submit(self, words: Sequence[str], settings: Settings, *, priority: int = 0) -> tuple[Job, bool]:
        """The job of this command, and whether it is new: one that waits or runs already is left as it is.

        Waits until the cluster has looked at its environment. Raises LabError where that is not the locked
        one, before anything of the command has run.
        """
        key, attempts = key_of(words), 0
        for job in self.all():
            if job.key == key:
                attempts += 1
                if job.active:
                    return job, False
        name = f"{_slug(words)}-{key}-{attempts + 1}"
        with tempfile.TemporaryDirectory(prefix="lab-parcel-") as folder:
            parcel = pack(words, Path(folder), settings)
            expected = {
                "name": name,
                "python": f"{sys.version_info.major}.{sys.version_info.minor}",
                "lock": parcel.lock,
                "priority": priority,
                "folder": parcel.folder,
            }
            code = provenance()
            environment = WORKERS | {
                "PYTHONPATH": "platform:.",
                "LAB_JOB": json.dumps(expected),
                "LAB_COMMIT": code["commit"],
                "LAB_DIRTY": code["dirty"],
                "RAY_JOB_STOP_SIGNAL": "SIGINT",
                "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
            }
            metadata = {
                "command": shlex.join(words),
                "key": key,
                "priority": str(priority),
                "lock": parcel.lock,
                "commit": code["commit"],
                "dirty": code["dirty"],
                "by": f"{getpass.getuser()}@{socket.gethostname()}",
            }
            with self._told():
                self._client.submit_job(
                    entrypoint=f"exec python -P platform/lab/arrival.py {shlex.join(parcel.words)}",
                    submission_id=name,
                    runtime_env={"working_dir": folder, "env_vars": environment},
                    metadata={LABEL + entry: value for entry, value in metadata.items()},
                )
        self._await_acceptance(name)
        return self.one(name), True

    def _await_acceptance(self, name: str) -> None:
        deadline = time.monotonic() + ACCEPT_SECONDS
        while time.monotonic() < deadline:
            ended = not self.one(name).active  # before the logs: what it says last is then in them
            said = self.logs(name)
            if ACCEPTED in said:
                return
            if REFUSED in said:
                differs = said.partition(REFUSED)[2].strip().partition("\n")[0]
                raise LabError(f"{differs} Run `ray up` again, or submit from the code it was made for.")
            if ended:
                last = said.strip().rpartition("\n")[2] or self._client.get_job_info(name).message
                raise LabError(f"the job {name} could not begin ({last}): `lab submit doctor` looks for why.")
            time.sleep(0.5)
        raise LabError(
            f"{name} has not begun after {ACCEPT_SECONDS:.0f} s: `lab logs {name}` shows what it does."
        )

    def all(self) -> list[Job]:
        """Every job of a `lab` command that the cluster remembers, the newest first."""
        with self._told():
            found = [_job(info) for info in self._client.list_jobs() if info.submission_id]
        return sorted((j for j in found if j.key), key=lambda job: job.begun or 1e12, reverse=True)

    def one(self, name: str) -> Job:
        """The job of that name, or the newest of that digest or whose name begins so. Raises UnknownName."""
        jobs = self.all()
        for job in jobs:
            if name in {job.name, job.key}:
                return job
        begins = [job for job in jobs if job.name.startswith(name)]
        if begins:
            return begins[0]
        raise UnknownName.among("job", name, [job.name for job in jobs], hint=" `lab jobs` lists them.")

    def logs(self, name: str) -> str:
        with self._told():
            return str(self._client.get_job_logs(name))

    def follow(self, name: str, say: Callable[[str], object]) -> Job:
        """Say what the job says until it has ended; return it as it is then."""

        async def listen() -> None:
            async for text in self._client.tail_job_logs(name):
                say(text)

        with self._told():
            asyncio.run(listen())
        while (job := self.one(name)).active:  # the last words come a little before the end
            time.sleep(0.5)
        return job

    def stop(self, name: str) -> Job:
        """Ask a job to stop, and wait until it has: what it trains writes checkpoints first."""
        with self._told():
            self._client.stop_job(name)
        deadline = time.monotonic() + STOP_SECONDS + 30
        while (job := self.one(name)).active and time.monotonic() < deadline:
            time.sleep(0.5)
        return job

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Ray's faults in one line."""
        try:
            yield
        except AuthenticationError as fault:
            wrong = "does not accept this token" if "failed" in str(fault) else "wants a token"
            raise LabError(f"the cluster at {self.address} {wrong}: {KEY_ADVICE}.") from None
        except (ConnectionError, OSError) as fault:  # requests' errors are OSErrors
            words = str(fault).strip().partition("\n")[0]
            raise LabError(
                f"no cluster answers at {self.address} ({words}): open a tunnel, "
                "`lab ui --cluster cluster.yaml`, or set RAY_API_SERVER_ADDRESS."
            ) from None
        except RuntimeError as fault:
            lines = [line for line in str(fault).splitlines() if line.strip()]
            said = lines[-1].strip() if lines else "no reason given"
            if "token" in str(fault).lower() and "auth" in str(fault).lower():
                raise LabError(f"no token for the cluster at {self.address}: {KEY_ADVICE}.") from None
            raise LabError(f"the cluster at {self.address} refuses: {said}") from None


def require_private(address: str) -> None:
    """Refuse to send a token in the clear over a network. Raises SpecError."""
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SpecError(f"the job server's address is like {DEFAULT_ADDRESS}, got {address!r}.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise SpecError(
            f"{address} would carry the token in the clear: open a tunnel to the head "
            "(`lab ui --cluster cluster.yaml`) and use http://127.0.0.1:8265."
        )


def _slug(words: Sequence[str]) -> str:
    """`sweep-table6`."""
    plain = [w for w in words[:2] if not w.startswith("-")]
    return "-".join("".join(c if c.isalnum() else "-" for c in w).strip("-") for w in plain)


def _job(info: Any) -> Job:
    notes = {
        name.removeprefix(LABEL): value
        for name, value in (info.metadata or {}).items()
        if name.startswith(LABEL)
    }
    return Job(
        name=info.submission_id,
        status=str(getattr(info.status, "value", info.status)),
        command=notes.get("command", info.entrypoint),
        key=notes.get("key", ""),
        priority=int(notes.get("priority", 0)),
        begun=info.start_time / 1000 if info.start_time else None,
        ended=info.end_time / 1000 if info.end_time else None,
        commit=notes.get("commit", ""),
    )
