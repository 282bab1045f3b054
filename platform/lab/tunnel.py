"""A tunnel to the head of a cluster: what listens on its loopback, on the loopback of this machine.

The head's record and dashboard are on 127.0.0.1 there, so SSH is the only way in. Who may log in to the head
may look at the record; Ray asks for the cluster's token as well.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError, SpecError
from lab.health.configuration import PLACEHOLDER

HOST = "127.0.0.1"
RECORD, DASHBOARD = 5000, 8265
"""ports of the head's loopback"""
CONNECT_SECONDS = 15
STAND_SECONDS = 60.0
ALIVE_SECONDS = 15
"""between two questions whether the head is still there; after three without an answer the tunnel ends"""


@dataclass(frozen=True)
class Head:
    """Where a cluster's head is, and how one logs in. key: a file, None for what ssh itself finds · proxy: a
    command through which it is reached, "" for none"""

    address: str
    user: str
    key: Path | None = None
    proxy: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any], file: Path) -> Head:
        """The head that `ray up FILE` made or makes. Raises SpecError where the file does not say, LabError
        where its cloud has none."""
        provider, auth = config.get("provider") or {}, dict(config.get("auth") or {})
        if "apiVersion" in config:
            raise SpecError(
                f"{file} is for Kubernetes, which has its own tunnel: "
                "`kubectl port-forward service/perceiver-lab-head-svc 8265 5000`."
            )
        if not auth.get("ssh_user") or not provider.get("type"):
            raise SpecError(f"{file} has no auth.ssh_user or no provider.type: start from cluster.yaml.")
        if provider["type"] == "local":
            address = str(provider.get("head_ip") or "")
        else:
            address, auth = _of_cloud(config, file)
        if not address or PLACEHOLDER in address + str(auth):
            raise SpecError(f"{file} is not filled in: `lab doctor --config {file}` lists what is left.")
        key = auth.get("ssh_private_key")
        proxy = str(auth.get("ssh_proxy_command") or "")
        return cls(address, str(auth["ssh_user"]), Path(key).expanduser() if key else None, proxy)

    def login(self) -> list[str]:
        """The words of an ssh that asks nothing. Its host key is remembered when it is first seen."""
        known = known_hosts()
        known.parent.mkdir(parents=True, exist_ok=True)
        return [
            "ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}",
            "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={known}",
            "-o", "LogLevel=ERROR", "-o", "ControlPath=none",
            *(["-i", str(self.key), "-o", "IdentitiesOnly=yes"] if self.key else []),
            *(["-o", f"ProxyCommand={self.proxy}"] if self.proxy else []),
            f"{self.user}@{self.address}",
        ]  # fmt: skip


def _of_cloud(config: Mapping[str, Any], file: Path) -> tuple[str, dict[str, Any]]:
    """Address of the head and how one logs in, as the cloud and `ray up` have it. Raises LabError."""
    from ray.autoscaler import sdk

    try:
        address = str(sdk.get_head_node_ip(str(file)))
        auth = dict(config["auth"])
        if not auth.get("ssh_private_key"):
            auth = dict(sdk.bootstrap_config(dict(config))["auth"])
    except BaseException as fault:  # Ray and the clouds raise this and that, and exit
        if isinstance(fault, KeyboardInterrupt):
            raise
        words = " ".join(str(fault).split())[:200] or type(fault).__name__
        raise LabError(
            f"no head of {config.get('cluster_name')} found ({words}): "
            f"`ray up {file}` makes it, `lab doctor --config {file}` looks for why."
        ) from None
    return address, auth


class Tunnel:
    """One ssh with its ways. It ends with this process, however that ends."""

    def __init__(self, head: Head, ends: Mapping[int, int]) -> None:
        """ends: port of the head's loopback -> port of this machine's"""
        self.head, self.ends = head, ends
        *login, who = head.login()
        ways = [f"-L{HOST}:{here}:{HOST}:{there}" for there, here in ends.items()]
        alive = ["-o", "ExitOnForwardFailure=yes", "-o", f"ServerAliveInterval={ALIVE_SECONDS}"]
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe that nobody reads would fill)
        self._ssh = subprocess.Popen(
            [*login, *alive, *ways, who, "cat"],  # which ends when the pipe to it does
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said,
        )  # fmt: skip

    def stand(self) -> None:
        """Return when every end here listens. Raises LabError."""
        deadline = time.monotonic() + STAND_SECONDS
        while not all(answers(port) for port in self.ends.values()):
            if self._ssh.poll() is not None:
                raise self.trouble()
            if time.monotonic() > deadline:
                raise LabError(
                    f"no tunnel to {self.head.address} after {STAND_SECONDS:.0f} s: is the machine on?"
                )
            time.sleep(0.1)

    def wait(self) -> None:
        """Until it breaks, and then raise LabError."""
        self._ssh.wait()
        raise self.trouble()

    def close(self) -> None:
        self._ssh.terminate()
        self._ssh.wait(10)
        self._said.close()

    def trouble(self) -> LabError:
        """What the ssh that has ended died of, and the way out."""
        self._said.seek(0)
        return reason(self.head, self._said.read() or f"ssh ended with {self._ssh.returncode}")


@contextmanager
def opened(head: Head, ends: Mapping[int, int]) -> Iterator[Tunnel]:
    """A tunnel that stands, for as long as the context lasts. Raises LabError where ssh does not get
    there."""
    tunnel = Tunnel(head, ends)
    try:
        tunnel.stand()
        yield tunnel
    finally:
        tunnel.close()


def reason(head: Head, said: str) -> LabError:
    """In one line, why ssh did not get to a head, and what to do."""
    who, last = f"{head.user}@{head.address}", said.strip().rpartition("\n")[2]
    if head.key and not head.key.exists():
        return LabError(f"there is no key {head.key}: correct auth.ssh_private_key.")
    if "Permission denied" in said:
        key = head.key or "any key of yours"
        return LabError(f"{who} does not accept {key}: correct auth.ssh_private_key, or `ssh-copy-id` it.")
    if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
        return LabError(
            f"{head.address} has another host key than when it was first seen. If `ray up` made a new head "
            f"there: `ssh-keygen -f {known_hosts()} -R {head.address}`, and again; else somebody is in "
            "between."
        )
    return LabError(
        f"no tunnel to {who} ({last}): `lab doctor --config` asks the machine, `ray up` makes it."
    )


def known_hosts() -> Path:
    """Where the keys of heads are remembered."""
    return Path(os.environ.get("LAB_HOME", ".lab")).absolute() / "known_hosts"


def answers(port: int) -> bool:
    """Whether anything listens on that port of this machine's loopback."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0
