"""`ray up cluster.yaml` to the end against a simulated EC2 whose instances are hosts of this machine.

EC2 is simulated (moto): starting an instance starts nothing. So the hosts are there already, each at the
private address that an instance of its type is given; all else is Ray's own, on the head as on a real one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from clusters.rehearsal import Cluster, Failed, free_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
KINDS = {"head": 0, "gpu_on_demand": 1, "gpu_spot": 2}
"""node type -> the host that is its instance"""


class OnSimulatedAws(Cluster):
    """A cluster of cluster.yaml, whose cloud is a server on this machine's side of the hosts' network."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__(net="10.80.0")
        self.expected = 1
        self._cloud: subprocess.Popen[bytes] | None = None

    @property
    def cloud(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://{self.net}.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | self.cloud

    def __exit__(self, *ending: Any) -> None:
        super().__exit__(*ending)
        if self._cloud is not None:
            self._cloud.terminate()
            self._cloud.wait(20)

    def configuration(self) -> dict[str, Any]:
        self._open_cloud()
        for name, value in self.cloud.items():
            os.environ[name] = value
        from clusters.aws_account import make

        config: dict[str, Any] = yaml.safe_load(make("a-bucket", "us-east-1"))
        config["provider"]["use_internal_ips"] = True
        config["auth"] = {"ssh_user": "root", "ssh_private_key": str(self.folder / "key")}
        config["idle_timeout_minutes"] = 1
        subnet = self._network()
        for kind, host in KINDS.items():
            made = config["available_node_types"][kind]
            made["node_config"] |= {
                "PrivateIpAddress": self.address(host),
                "KeyName": "a-key",
                "SubnetIds": [subnet],
            }
            if kind != "head":
                made |= {"max_workers": 1, "resources": {"CPU": 1}}
        config["available_node_types"]["gpu_on_demand"]["min_workers"] = 1
        config["file_mounts"]["~/.ray/auth_token"] = str(self.home / ".ray" / "auth_token")
        variables = "".join(f"{name}={value}\n" for name, value in self.cloud.items())
        where = config["setup_commands"][0].replace("s3://a-bucket", "/mnt/lab")
        config["setup_commands"][0] = where.replace("RAY_AUTH_MODE=", f"{variables}RAY_AUTH_MODE=")
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            config[key] = [line.replace("ray start ", self._start(key)) for line in config[key]]
        return config

    def _network(self) -> str:
        """A subnet with the hosts' addresses."""
        import boto3

        ec2 = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock=f"{self.net}.0/24")["Vpc"]["VpcId"]
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"{self.net}.0/24", AvailabilityZone="us-east-1a")
        return str(made["Subnet"]["SubnetId"])

    def _start(self, key: str) -> str:
        return f"ray start --num-cpus={0 if key.startswith('head') else 1} "

    def _open_cloud(self) -> None:
        self._cloud = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", f"{self.net}.1", "-p", str(self.port)],
            env=os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, 60)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex((f"{self.net}.1", self.port)) == 0

    def instances(self) -> dict[str, str]:
        """Node type -> the state of its latest instance."""
        import boto3

        ec2 = boto3.client("ec2", endpoint_url=self.cloud["AWS_ENDPOINT_URL"], region_name="us-east-1")
        found = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
        kinds = {}
        for instance in sorted(found, key=lambda made: made["LaunchTime"]):
            tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            kinds[tags["ray-user-node-type"]] = instance["State"]["Name"]
        return kinds


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise Failed(f"not so after {seconds:.0f} s")
        time.sleep(1)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[OnSimulatedAws]:
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back at the end
    with OnSimulatedAws() as ours:
        yield ours


def test_a_spot_machine_is_started_for_a_job_and_ended_when_idle_and_down_ends_all(
    cluster: OnSimulatedAws,
) -> None:
    cluster.up()
    assert cluster.instances() == {"head": "running", "gpu_on_demand": "running"}
    cluster.lab("submit", "--follow", "data", "prepare", "digits")
    training = ("train", "imagenet.fourier", "--workers", "2", "--duration.count", "2")
    assert "succeeded" in cluster.lab("submit", "--follow", *training, timeout=1200)
    states = cluster.instances()
    assert "gpu_spot" in states, "two workers had no room on one machine"
    until(lambda: cluster.instances()["gpu_spot"] == "terminated", 400)
    assert cluster.instances()["gpu_on_demand"] == "running", "the least that was asked for stays"
    cluster.down()
    until(lambda: set(cluster.instances().values()) == {"terminated"}, 120)
