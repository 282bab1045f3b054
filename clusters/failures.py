"""What befalls a cluster, one thing after the other, and how long until training goes on: a table.

    sudo python -m clusters.failures               the time-outs of clusters/on-premises.yaml
    sudo python -m clusters.failures --stock       Ray's own

Three hosts of clusters/hosts.sh, checkpoints on an S3 server beside them (moto), and a training of two
workers on two hosts. Of each event is told: seconds until the training said that it lost its workers, and
until it continued from its checkpoint; where it must not notice at all, that it did not.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from clusters.rehearsal import Cluster, Failed, answers, free_port

TRAINING = ("train", "imagenet.fourier", "--workers", "2", "--duration.count", "4000")
ELASTIC = (*TRAINING, "--min-workers", "1", "--seed", "1")
LOST, CONTINUES, GOES_ON = "lost its workers", "continuing after step", "  step "
CUT_SECONDS, AWAY_SECONDS = 90.0, 60.0
TIMEOUTS = re.compile(r"^RAY_health_check_\w+=.*\n", re.MULTILINE)


class WithStorage(Cluster):
    """A cluster whose checkpoints are in a bucket that may be away."""

    def __init__(self, net: str, *, stock: bool) -> None:
        """stock: Ray's own time-outs, in place of those of the configuration"""
        super().__init__(net=net)
        self.stock, self.store_port = stock, free_port()
        self.store: subprocess.Popen[bytes] | None = None

    def __exit__(self, *ending: Any) -> None:
        super().__exit__(*ending)
        if self.store is not None:
            self.store.kill()
            self.store.wait(20)

    def configuration(self) -> dict[str, Any]:
        config = super().configuration()
        address = f"http://{self.net}.1:{self.store_port}"
        self.store = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", f"{self.net}.1", "-p", str(self.store_port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
        until(lambda: answers(self.store_port, f"{self.net}.1"), 60)
        import boto3

        client = boto3.client(
            "s3", endpoint_url=address, region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",  # noqa: S106
        )  # fmt: skip
        client.create_bucket(Bucket="a-bucket")
        more = "".join(f"{n}={v}\n" for n, v in {**keys, "AWS_ENDPOINT_URL": address}.items())
        text = config["setup_commands"][0].replace("LAB_STORAGE=/mnt/lab/", "LAB_STORAGE=s3://a-bucket/")
        text = TIMEOUTS.sub("", text) if self.stock else text
        config["setup_commands"][0] = text.replace("RAY_AUTH_MODE=", f"{more}RAY_AUTH_MODE=")
        return config


class Job:
    """A job of the cluster, and what it says with the time at which it said it."""

    def __init__(self, cluster: Cluster, *words: str) -> None:
        self.cluster, self.words = cluster, words
        self.said: list[tuple[float, str]] = []
        self.name = cluster.lab("submit", *words).split()[1].rstrip(";")
        self._follower = subprocess.Popen(
            [sys.executable, "-m", "lab.cli", "logs", self.name, "--follow"],
            env=cluster.environment | {"PYTHONUNBUFFERED": "1"}, cwd=cluster.home,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._follower.stdout is not None
        for line in self._follower.stdout:
            self.said.append((time.monotonic(), line.rstrip()))

    def seconds_until(self, words: str, since: float, patience: float = 600) -> float:
        """From `since` until it says `words`. Raises Failed."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for at, line in list(self.said):
                if at > since and words in line:
                    return at - since
            if self._follower.poll() is not None:
                raise Failed(f"{self.name} has ended:\n{self.tail()}")
            time.sleep(0.2)
        raise Failed(f"{words!r} was not said in {patience:.0f} s:\n{self.tail()}")

    def said_since(self, words: str, since: float) -> bool:
        return any(at > since and words in line for at, line in self.said)

    def tail(self) -> str:
        return "\n".join(line for _, line in self.said[-30:])

    def stop(self) -> None:
        self.cluster.lab("stop", self.name)
        self._follower.terminate()
        self._follower.wait(20)

    def __enter__(self) -> Self:
        self.seconds_until(GOES_ON, 0.0)
        return self

    def __exit__(self, *ending: object) -> None:
        if self._follower.poll() is None:
            self._follower.terminate()
            self._follower.wait(20)


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise Failed(f"not so after {seconds:.0f} s")
        time.sleep(0.5)


@contextmanager
def paused(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """It answers nobody, and refuses nobody either."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def unnoticed(job: Job, since: float) -> str:
    """That the training went on as if nothing had been. Raises Failed where it did not."""
    job.seconds_until(GOES_ON, time.monotonic())
    if job.said_since(LOST, since):
        raise Failed(f"it lost its workers:\n{job.tail()}")
    return "training goes on"


def recovered(job: Job, since: float) -> str:
    lost = job.seconds_until(LOST, since)
    return f"noticed after {lost:.0f} s, continued after {job.seconds_until(CONTINUES, since):.0f} s"


def record_restarted(cluster: Cluster, job: Job) -> str:
    at = time.monotonic()
    cluster.on(0, "pkill -9 -f '[m]lflow server'; pkill -9 -f '[u]vicorn'; true")
    port = 5000
    cluster.on(0, f"until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.2; done", timeout=300)
    back = time.monotonic() - at
    return f"answers again after {back:.0f} s, {unnoticed(job, at)}"


def storage_away(cluster: WithStorage, job: Job) -> str:
    assert cluster.store is not None
    at = time.monotonic()
    with paused(cluster.store):
        time.sleep(AWAY_SECONDS)
    return f"{unnoticed(job, at)} (away for {AWAY_SECONDS:.0f} s)"


def raylet_killed(cluster: Cluster, job: Job) -> str:
    at = time.monotonic()
    cluster.on(2, "kill -9 $(pgrep -x raylet)")
    return recovered(job, at)


def cable_cut(cluster: Cluster, job: Job) -> str:
    at = time.monotonic()
    cluster.hosts("link", "1", "down")
    time.sleep(CUT_SECONDS)
    cluster.hosts("link", "1", "up")
    return f"{recovered(job, at)} (cut for {CUT_SECONDS:.0f} s)"


def host_gone(cluster: Cluster, job: Job) -> str:
    """Without a last word: its cable first."""
    at = time.monotonic()
    cluster.hosts("link", "2", "down")
    cluster.hosts("kill", "2")
    said = recovered(job, at)
    at = time.monotonic()
    cluster.hosts("link", "2", "up")
    cluster.hosts("start", "2")
    return f"{said} with one worker; back on, it is a node again after {cluster.await_workers(2):.0f} s"


def head_restarted(cluster: Cluster, job: Job) -> str:
    at = time.monotonic()
    cluster.hosts("kill", "0")
    cluster.hosts("start", "0")
    cluster.up()
    up = time.monotonic() - at
    with Job(cluster, *job.words) as again:
        again.seconds_until(CONTINUES, at)
        total = next(when for when, line in again.said if CONTINUES in line) - at
        again.stop()
    return f"`ray up` again took {up:.0f} s, the same `lab submit` continued after {total:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stock", action="store_true", help="Ray's own time-outs")
    parser.add_argument(
        "--elastic", action="store_true", help="only what befalls the second, elastic training"
    )
    parser.add_argument("--net", default="10.81.0", help="the first three numbers of the hosts' addresses")
    arguments = parser.parse_args()

    def row(event: str, act: Callable[[], str]) -> None:
        load = os.getloadavg()[0]
        try:
            said = act()
        except Failed as fault:
            said = " ".join(f"FAILED: {fault}".split())
        print(f"| {event} | {said} | {load:.0f} |", flush=True)

    print("| event | what was seen | load |\n|---|---|---|", flush=True)
    with WithStorage(arguments.net, stock=arguments.stock) as cluster:
        cluster.up()
        cluster.lab("submit", "--follow", "data", "prepare", "digits")
        if not arguments.elastic:
            with Job(cluster, *TRAINING) as job:
                row("MLflow server killed", lambda: record_restarted(cluster, job))
                row("raylet killed", lambda: raylet_killed(cluster, job))
                job.seconds_until(GOES_ON, time.monotonic())
                row("cable cut", lambda: cable_cut(cluster, job))
                job.seconds_until(GOES_ON, time.monotonic())
                row("storage away", lambda: storage_away(cluster, job))
                job.stop()
            cluster.await_workers(2)
        with Job(cluster, *ELASTIC) as job:
            row("host gone for good", lambda: host_gone(cluster, job))
            job.seconds_until(GOES_ON, time.monotonic())
            row("head lost", lambda: head_restarted(cluster, job))
        cluster.down()


if __name__ == "__main__":
    try:
        main()
    except Failed as fault:
        sys.exit(f"failures: {fault}")
