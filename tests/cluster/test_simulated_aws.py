"""cluster.yaml through Ray's own AWS provider, on a simulated EC2: what would be started, and how guarded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.aws_account import make

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Node type -> the instance that Ray started for it, as EC2 describes it; and the rules of its group."""
    moto = pytest.importorskip("moto")
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray makes a key pair there
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".ssh").mkdir()
    with moto.mock_aws():
        import boto3
        from ray.autoscaler._private import providers
        from ray.autoscaler._private.aws import config as bootstrap
        from ray.autoscaler._private.aws import utils
        from ray.autoscaler._private.util import prepare_config, validate_config

        for cached in (utils.resource_cache, utils.client_cache):
            cached.cache_clear()
        config = prepare_config(yaml.safe_load(make("a-bucket", REGION)))
        validate_config(config)
        config = bootstrap.bootstrap_aws(config)
        provider = providers._get_node_provider(config["provider"], config["cluster_name"], False)
        for kind, made in config["available_node_types"].items():
            tags = {"ray-node-type": "head" if kind == "head" else "worker", "ray-user-node-type": kind}
            provider.create_node(made["node_config"], tags, 1)
        ec2 = boto3.client("ec2", region_name=REGION)
        found: dict[str, Any] = {}
        for group in ec2.describe_instances()["Reservations"]:
            for instance in group["Instances"]:
                kind = next(t["Value"] for t in instance["Tags"] if t["Key"] == "ray-user-node-type")
                groups = [g["GroupId"] for g in instance["SecurityGroups"]]
                rules = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
                found[kind] = instance | {"rules": [r for g in rules for r in g["IpPermissions"]]}
        yield found


def test_ray_starts_the_head_on_demand_and_workers_on_spot_or_on_demand(started: dict[str, Any]) -> None:
    assert set(started) == {"head", "gpu_spot", "gpu_on_demand"}
    assert started["gpu_spot"]["InstanceLifecycle"] == "spot"
    assert "InstanceLifecycle" not in started["head"]
    assert "InstanceLifecycle" not in started["gpu_on_demand"]
    assert started["head"]["InstanceType"] == "m7i.2xlarge"


def test_every_machine_has_its_role_and_what_ends_it_is_its_clusters_tag(started: dict[str, Any]) -> None:
    roles = {kind: made["IamInstanceProfile"]["Arn"].rpartition("/")[2] for kind, made in started.items()}
    assert roles == {
        "head": "perceiver-lab-head",
        "gpu_spot": "perceiver-lab-worker",
        "gpu_on_demand": "perceiver-lab-worker",
    }
    for made in started.values():
        tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
        assert tags["ray-cluster-name"] == "perceiver-lab", "the head may end machines with this tag alone"


def test_from_outside_nothing_but_ssh_is_open(started: dict[str, Any]) -> None:
    for kind, made in started.items():
        world = [rule for rule in made["rules"] if rule.get("IpRanges")]
        assert [(rule["FromPort"], rule["ToPort"]) for rule in world] == [(22, 22)], kind
        within = [rule for rule in made["rules"] if rule.get("UserIdGroupPairs")]
        assert within, "nodes reach each other"
