"""A cluster of three hosts on this machine: own network, processes and disks each, `ray up` as on real ones.

Needs root and what clusters/hosts.sh names. The claims are about the whole way: a job sent from outside,
trained over hosts, on record in PostgreSQL on the head, read through a tunnel; and about the death of hosts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from clusters.rehearsal import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
LANES = ("--scale", "laptop", "--seeds", "0")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(net="10.79.0") as ours:
        ours.up()
        ours.lab("submit", "--follow", "data", "prepare", "digits")
        yield ours
        ours.down()


def until(true: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not so after {seconds:.0f} s"
        time.sleep(2)


def runs(cluster: Cluster, status: str) -> Counter[str]:
    """Digest -> how many runs of it are on record with this status, as seen through the tunnel."""
    said = cluster.lab("runs", "--status", status)
    return Counter(line.split()[0] for line in said.splitlines() if len(line.split()) > 4)


def trains(cluster: Cluster, process: str) -> set[int]:
    """The hosts on which there is such a process of Ray's."""
    looking = f"pgrep -f '[{process[0]}]{process[1:]}'"
    return {host for host in (1, 2) if cluster.on(host, looking, check=False).strip()}


def test_the_examination_finds_no_fault(cluster: Cluster) -> None:
    said = cluster.lab("submit", "--follow", "doctor")
    assert "0 faults" in said
    assert "2 workers added up a number through gloo" in said, "the two hosts reach each other"
    assert all(f"lab-{host} ({cluster.address(host)})" in said for host in range(3))


def test_a_stranger_finds_ssh_alone_and_behind_the_firewall_tokens(cluster: Cluster) -> None:
    hosts = [cluster.address(host) for host in range(3)]
    shut = cluster.stranger()
    assert {host: shut[host]["open"] for host in hosts} == {host: [22] for host in hosts}
    rules = "set -a; . ~/lab.env; bash ~/lab/firewall.sh"
    try:
        for host in range(3):
            cluster.on(host, f"{rules} open")
        bare = cluster.stranger()
    finally:
        for host in range(3):
            cluster.on(host, f"{rules} $LAB_NODES")
    assert {6379, 8076} <= set(bare[hosts[0]]["open"]), "the scan sees Ray where nothing is shut"
    assert not {5000, 5432, 8265} & set(bare[hosts[0]]["open"]), (
        "the record and the dashboard are on loopback"
    )
    told = [words for host in hosts for port in bare[host]["told"].values() for words in port.values()]
    assert told, "Ray's metrics are open to all"
    assert [words for words in told if "# HELP" not in words] == [], (
        "and nothing else is told without the token"
    )


def test_a_sweep_sent_from_outside_is_on_record_on_the_head_and_fills_tables_here(cluster: Cluster) -> None:
    said = cluster.lab("submit", "--follow", "sweep", "table6", *LANES, "--only", "1 ")
    assert "2/2 done, 0 failed" in said
    assert set(runs(cluster, "complete").values()) == {1}
    assert "n=1" in cluster.lab("tables", "table6")
    kept = cluster.on(0, "ls ~/lab-record/database/PG_VERSION && find /mnt/lab/artifacts -type f | head -3")
    assert "/mnt/lab/artifacts/" in kept, "artifacts went through the server on the head"


def test_two_workers_of_one_training_are_on_two_hosts(cluster: Cluster) -> None:
    words = ("train", "imagenet.fourier", "--workers", "2", "--duration.count", "6", "--seed", "41")
    name = cluster.lab("submit", *words).split()[1].rstrip(";")
    seen = set()

    def both() -> bool:
        seen.update(trains(cluster, "RayTrainWorker"))
        return seen == {1, 2}

    until(both)
    assert "succeeded" in cluster.lab("logs", name, "--follow")


def test_a_sweep_survives_a_host_that_dies_and_a_cable_that_is_cut_each_run_once(cluster: Cluster) -> None:
    before = runs(cluster, "complete")
    words = ("sweep", "table6", "--scale", "laptop", "--seeds", "1", "--only", "interleaved")
    name = cluster.lab("submit", *words).split()[1].rstrip(";")
    until(lambda: trains(cluster, "ImplicitFunc") == {1, 2})
    cluster.hosts("kill", "2")
    until(lambda: len(runs(cluster, "complete")) > len(before), 600)
    cluster.hosts("start", "2")
    cluster.hosts("link", "1", "down")
    time.sleep(90)
    cluster.hosts("link", "1", "up")
    said = cluster.lab("logs", name, "--follow", timeout=1500)
    if "4/4 done" not in said:  # what a sweep gives up on, the same command does
        said = cluster.lab("submit", "--follow", *words, timeout=1500)
    assert "4/4 done, 0 failed" in said
    made = runs(cluster, "complete") - before
    assert len(made) == 4
    assert set(made.values()) == {1}, "one run per digest"
    assert runs(cluster, "running") == Counter()
