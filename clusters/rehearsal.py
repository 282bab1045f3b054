"""The whole life of a cluster, on one machine: `ray up`, a sweep, a training over two hosts, `ray down`.

    sudo make rehearsal

Three hosts of clusters/hosts.sh, the configuration of clusters/on-premises.yaml with its CHANGE-MEs filled
in, and a person beside them who has the key, the token, and a tunnel. All is cleaned up whatever happens.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

ROOT = Path(__file__).resolve().parents[1]
HOSTS = ROOT / "clusters" / "hosts.sh"
JOBS, RECORD = 8265, 5000
"""ports of the head's loopback"""


class Failed(Exception):
    """A command that did not end as it should, with what it said."""


class Cluster:
    """Hosts of this machine as a cluster. Inside its context the hosts are there; Ray is after `up`."""

    def __init__(self, workers: int = 2, net: str = "10.77.0", *, cpus: int = 1) -> None:
        """cpus: that each worker host lets Ray use"""
        self.workers, self.net, self.cpus = workers, net, cpus
        self.expected = workers
        """workers that `ray up` starts without anything to do for them"""
        self.folder = Path(tempfile.mkdtemp(prefix="lab-hosts-", dir="/var/tmp"))
        self.home = self.folder / "person"
        self.config = self.folder / "cluster.yaml"
        self.ports = {JOBS: free_port(), RECORD: free_port()}
        self._tunnel: subprocess.Popen[bytes] | None = None

    def address(self, host: int) -> str:
        return f"{self.net}.{10 + host}"

    def __enter__(self) -> Self:
        try:
            self.hosts("up", str(self.workers + 1))
            (self.home / ".ray").mkdir(parents=True)
            token = self.home / ".ray" / "auth_token"
            token.touch(mode=0o600)
            token.write_text(secrets.token_hex(32))
            self.config.write_text(yaml.safe_dump(self.configuration(), width=1000, sort_keys=False))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tunnel is not None:
            self._tunnel.terminate()
            self._tunnel.wait(10)
        self.hosts("down")

    def configuration(self) -> dict[str, Any]:
        """clusters/on-premises.yaml as somebody with these hosts would fill it in."""
        config: dict[str, Any] = yaml.safe_load((ROOT / "clusters" / "on-premises.yaml").read_text())
        config["cluster_name"] = self.folder.name
        config["provider"] |= {
            "head_ip": self.address(0),
            "worker_ips": [self.address(host) for host in range(1, self.workers + 1)],
        }
        nodes = " ".join([self.address(host) for host in range(self.workers + 1)])
        config["setup_commands"] = [
            re.sub(r'LAB_NODES=".*"', f'LAB_NODES="{nodes}"', line) for line in config["setup_commands"]
        ]
        config["auth"] = {"ssh_user": "root", "ssh_private_key": str(self.folder / "key")}
        config["min_workers"] = config["max_workers"] = self.workers
        config["file_mounts"]["~/.ray/auth_token"] = str(self.home / ".ray" / "auth_token")
        config["worker_start_ray_commands"] = [
            line.replace("ray start ", f"ray start --num-cpus={self.cpus} ")
            for line in config["worker_start_ray_commands"]
        ]
        return config

    def hosts(self, *words: str, check: bool = True, timeout: float = 120) -> str:
        """clusters/hosts.sh, for these hosts."""
        ours = {
            "LAB_HOSTS": str(self.folder),
            "LAB_HOSTS_NET": self.net,
            "LAB_HOSTS_ENVIRONMENT": sys.prefix,
        }
        return run([str(HOSTS), *words], os.environ | ours, check=check, timeout=timeout)

    def on(self, host: int, command: str, *, check: bool = True, timeout: float = 120) -> str:
        """A command on a host, as its root."""
        return self.hosts("ssh", str(host), command, check=check, timeout=timeout)

    @property
    def environment(self) -> dict[str, str]:
        """Of the person who uses the cluster from outside it."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "RAY_"))}
        return clean | {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}/platform:{ROOT}",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.ports[JOBS]}",
            "LAB_TRACKING": f"http://127.0.0.1:{self.ports[RECORD]}",
            "LAB_HOME": str(self.home / ".lab"),
            "OMP_NUM_THREADS": "1",
        }

    def up(self, *, timeout: float = 900) -> str:
        """`ray up`, until the workers have joined and the tunnel stands."""
        said = run(
            [*ray(), "up", "-y", "--no-config-cache", str(self.config)], self.environment, timeout=timeout
        )
        self.await_workers(self.expected, timeout=timeout)
        self.tunnel()
        return said

    def down(self) -> str:
        """`ray down`: the head's Ray is stopped, and the workers' ends when it misses the head."""
        return run([*ray(), "down", "-y", str(self.config)], self.environment, timeout=300)

    def nodes(self) -> int:
        """Workers that are alive, as the head sees it."""
        script = "import ray; ray.init(address='auto', log_to_driver=False, logging_level=40);"
        script += "print('alive', sum(n['Alive'] and n['Resources'].get('CPU', 0) > 0 for n in ray.nodes()))"
        said = self.on(0, f"set -a; . ~/lab.env; set +a; python -c {shlex.quote(script)}", check=False)
        return int(said.rpartition("alive ")[2].strip() or 0) if "alive " in said else 0

    def await_workers(self, number: int, *, timeout: float = 600) -> float:
        """Seconds until so many workers are alive."""
        begun = time.monotonic()
        while (there := self.nodes()) != number:
            if time.monotonic() - begun > timeout:
                raise Failed(f"{there} workers after {timeout:.0f} s, expected {number}")
            time.sleep(2)
        return time.monotonic() - begun

    def stranger(self) -> dict[str, Any]:
        """What somebody beside the cluster gets from its hosts without key and token: address -> ports that
        open, and what they tell."""
        addresses = [self.address(host) for host in range(self.workers + 1)]
        script = str(ROOT / "clusters" / "stranger.py")
        said = self.hosts("outside", sys.executable, script, *addresses, timeout=600)
        report: dict[str, Any] = json.loads(said.strip().rpartition("\n")[2])
        return report

    def tunnel(self) -> None:
        """What `lab ui --cluster` opens, on free ports of this machine."""
        if self._tunnel is not None:
            self._tunnel.terminate()
            self._tunnel.wait(10)
        ports = ["--port", str(self.ports[RECORD]), "--dashboard-port", str(self.ports[JOBS])]
        self._tunnel = subprocess.Popen(
            [sys.executable, "-m", "lab.cli", "ui", "--cluster", str(self.config), *ports],
            env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not all(answers(port) for port in self.ports.values()):
            if time.monotonic() > deadline:
                raise Failed("the tunnel does not stand")
            time.sleep(0.2)

    def lab(self, *words: str, check: bool = True, timeout: float = 900, **environment: str) -> str:
        """`lab`, typed by the person outside."""
        return run(
            [sys.executable, "-m", "lab.cli", *words], self.environment | environment,
            check=check, timeout=timeout, cwd=self.home,
        )  # fmt: skip


def run(
    words: list[str],
    environment: Mapping[str, str],
    *,
    check: bool = True,
    timeout: float = 120,
    cwd: Path = ROOT,
) -> str:
    """What a command says on both of its channels. Raises Failed."""
    try:
        done = subprocess.run(
            words, env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
        raise Failed(f"{shlex.join(words)} has not ended after {timeout:.0f} s:\n{said}") from None
    if check and done.returncode:
        raise Failed(f"{shlex.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def ray() -> list[str]:
    return [sys.executable, "-m", "ray.scripts.scripts"]


def answers(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """The rehearsal, told as it goes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="10.77.0", help="the first three numbers of the hosts' addresses")
    arguments = parser.parse_args()
    begun = time.monotonic()

    def tell(title: str, said: str = "") -> None:
        minutes, seconds = divmod(round(time.monotonic() - begun), 60)
        print(f"\n[{minutes}:{seconds:02}] {title}", flush=True)
        print(said.strip(), flush=True)

    with Cluster(net=arguments.net) as cluster:
        tell("three hosts, and a person outside them", cluster.hosts("ssh", "0", "hostname -I"))
        cluster.up()
        tell("$ ray up cluster.yaml", "head and two workers are up")
        tell("a stranger knocks at every port", json.dumps(cluster.stranger()))
        for words in (
            ["submit", "--follow", "doctor"],
            ["submit", "--follow", "data", "prepare", "digits"],
            ["submit", "--follow", "sweep", "table6", "--seeds", "0", "--only", "1 "],
            ["submit", "--follow", "train", "imagenet.fourier", "--workers", "2", "--duration.count", "3"],
            ["jobs"],
            ["runs"],
            ["tables", "table6"],
        ):
            tell(f"$ lab {shlex.join(words)}", cluster.lab(*words))
        cluster.down()
        tell("$ ray down cluster.yaml", "done")


if __name__ == "__main__":
    try:
        main()
    except Failed as fault:
        sys.exit(f"rehearsal: {fault}")
