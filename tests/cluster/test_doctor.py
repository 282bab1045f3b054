"""The examination of a cluster and of a configuration: each fault is one line, before money is spent."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.commands.doctor import write
from lab.errors import LabError
from lab.health import Level, aws, configuration, hosts
from lab.health.finding import fault
from lab.health.node import Node, listening

ROOT = Path(__file__).parents[2]


@pytest.fixture
def filled(tmp_path: Path) -> dict[str, Any]:
    """cluster.yaml as a person would leave it, with a token and a key of theirs."""
    text = (ROOT / "cluster.yaml").read_text()
    config = yaml.safe_load(
        text.replace("CHANGE-ME-BUCKET", "a-bucket").replace("CHANGE-ME-ACCOUNT", "123456789012")
    )
    token = tmp_path / "auth_token"
    token.write_text("f" * 64)
    token.chmod(0o600)
    config["file_mounts"]["~/.ray/auth_token"] = str(token)
    return config


def faults(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch | None = None) -> list[str]:
    os.chdir(ROOT)
    return [str(f) for f in configuration.findings(config, "cluster.yaml") if f.level is Level.FAULT]


@pytest.fixture(autouse=True)
def at_home() -> Any:
    before = Path.cwd()
    yield
    os.chdir(before)


def test_a_configuration_filled_in_is_without_a_fault(filled: dict[str, Any]) -> None:
    assert faults(filled) == []


def test_every_value_left_to_change_is_listed_with_its_place() -> None:
    said = [
        line for line in faults(yaml.safe_load((ROOT / "cluster.yaml").read_text())) if "CHANGE-ME" in line
    ]
    written = [
        line
        for line in (ROOT / "cluster.yaml").read_text().splitlines()
        if "CHANGE-ME" in line.partition("#")[0]
    ]
    assert len(said) >= len(written) >= 6
    assert any("available_node_types.head.node_config.IamInstanceProfile.Arn" in line for line in said)
    assert any("LAB_STORAGE=s3://CHANGE-ME-BUCKET/checkpoints" in line for line in said)


def changed(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *folders, last = path.split(".")
    place = config
    for folder in folders:
        place = place[folder]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "idle_timeout_minute",
            5,
            "no field 'idle_timeout_minute'. Remove it. Did you mean 'idle_timeout_minutes'?",
        ),
        ("cluster_name", None, "'cluster_name' is missing"),
        ("max_workers", "eight", "max_workers: 'eight' is not of type"),
        ("available_node_types.gpu_spot.min_worker", 1, "Did you mean 'min_workers'?"),
        (
            "head_node_type",
            "haed",
            "no node type 'haed'. There is head, gpu_spot, gpu_on_demand. Did you mean 'head'?",
        ),
        ("provider.type", "awss", "no provider 'awss'. Correct it. Did you mean 'aws'?"),
        ("available_node_types.gpu_spot.min_workers", 9, "8 is less than all min_workers, 9"),
        (
            "file_mounts.~/lab/x",
            "no-such-file",
            "no file no-such-file. Run this, and `ray up`, from the repository's root",
        ),
        ("file_mounts.~/.ray/auth_token", "/no/token", "there is no token. `ray get-auth-token --generate"),
    ],
)
def test_a_wrong_or_missing_value_is_one_line_with_the_way_out(
    filled: dict[str, Any], path: str, value: Any, says: str
) -> None:
    if path.startswith("file_mounts."):
        filled["file_mounts"][path.removeprefix("file_mounts.")] = value
    else:
        changed(filled, path, value)
    said = faults(filled)
    assert any(says in line for line in said), said
    assert all("\n" not in line for line in said)


def test_a_spot_head_is_warned_of(filled: dict[str, Any]) -> None:
    filled["available_node_types"]["head"]["node_config"]["InstanceMarketOptions"] = {"MarketType": "spot"}
    os.chdir(ROOT)
    assert any(
        "the head is a spot instance" in f.what for f in configuration.findings(filled, "cluster.yaml")
    )


def test_a_token_or_key_that_others_may_read_is_a_fault(filled: dict[str, Any], tmp_path: Path) -> None:
    token = Path(filled["file_mounts"]["~/.ray/auth_token"])
    token.chmod(0o644)
    key = tmp_path / "key"
    key.write_text("a key")
    key.chmod(0o640)
    filled["auth"]["ssh_private_key"] = str(key)
    said = faults(filled)
    assert any(f"chmod 600 {token}" in line for line in said)
    assert any(f"chmod 600 {key}" in line for line in said)
    assert stat.S_IMODE(token.stat().st_mode) == 0o644, "it only looks"


def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "cluster.yaml"
    broken.write_text("cluster_name: a\nprovider: {type: aws\nmax_workers: 2\n")
    with pytest.raises(LabError, match=r"is no YAML: line 3"):
        configuration.read(broken)
    with pytest.raises(LabError, match="no configuration"):
        configuration.read(tmp_path / "nowhere.yaml")


NODE = Node(
    host="lab-1", python="3.11.7", lock="0123456789ab", gpus=[], nccl="", ports=[("10.0.0.1", 6379)],
    versions={"ray": "2.60.0", "torch": "2.13.0", "mlflow": "3.17.2", "optuna": "5.0.0"},
    disk={"/root": (100 * 10**9, 200 * 10**9)},
    token=0o600, authentication="token", storage="", files=65536,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "skew", "says"),
    [
        ({"disk": {"/root": (10**9, 10**11)}}, 0, "1.0 GB free in /root, 10 GB are needed"),
        ({"disk": {"/dev/shm": (10**9, 10**9)}}, 0, "1.0 GB free in /dev/shm, 2 GB are needed"),
        ({"storage": "put failed with 403"}, 0, "cannot write and read checkpoints: put failed with 403"),
        ({"authentication": "disabled"}, 0, "Ray asks nobody for a token"),
        ({"token": None}, 0, "has no token"),
        ({"token": 0o644}, 0, "others may read its token (mode 644)"),
        ({"ports": [("0.0.0.0", 8265)]}, 0, "0.0.0.0:8265 is open: Ray's dashboard"),
        ({"ports": [("::", 5432)]}, 0, "::5432 is open: PostgreSQL"),
        ({}, 75, "its clock is 75 s off"),
    ],
)
def test_what_ails_a_node_is_named(change: dict[str, Any], skew: float, says: str) -> None:
    from lab.health.cluster import Answer, findings

    answer = Answer("10.0.0.1", replace(NODE, **change), "", skew, None)
    said = [str(f) for f in findings([answer], joined=True) if f.level is Level.FAULT]
    assert len(said) == 1, said
    assert says in said[0] or says.replace("::5432", ":::5432") in said[0]


def test_a_healthy_cluster_is_told_as_one_and_differences_between_nodes_are_faults() -> None:
    from lab.health.cluster import Answer, findings

    healthy = [
        Answer("10.0.0.1", NODE, "", 0, ""),
        Answer("10.0.0.2", replace(NODE, host="lab-2"), "", 0, ""),
    ]
    assert [f for f in findings(healthy, joined=True) if f.level is not Level.FINE] == []
    assert "2 workers added up a number through gloo" in str(list(findings(healthy, joined=True))[-1])
    other = replace(NODE, versions=NODE.versions | {"torch": "2.12.0+cu130"}, lock="ffffffffffff")
    ill = [
        healthy[0],
        Answer("10.0.0.2", other, "", 0, "connection refused"),
        Answer("10.0.0.3", None, "no answer", 0, None),
    ]
    said = "\n".join(str(f) for f in findings(ill, joined=True))
    assert "torch differs: 2.12.0, 2.13.0" in said
    assert "the lock differs: 0123456789ab, ffffffffffff" in said
    assert "10.0.0.3: does not answer (no answer)" in said
    assert "gloo cannot speak with the others: connection refused" in said


def test_ports_that_others_may_reach_are_read_from_the_kernel_and_loopback_is_not_one() -> None:
    four = (  # as Linux writes them: 0.0.0.0:8265, 127.0.0.1:5000, 10.77.0.10:6379 listening; one established
        "  sl  local_address rem_address   st\n"
        "   0: 00000000:2049 00000000:0000 0A\n   1: 0100007F:1388 00000000:0000 0A\n"
        "   2: 0A004D0A:18EB 00000000:0000 0A\n   3: 0A004D0A:18EC 0A004D0A:18EB 01\n"
    )
    six = (  # [::]:22 and [::1]:631
        "  sl  local_address rem_address   st\n"
        "   0: 00000000000000000000000000000000:0016 0:0 0A\n"
        "   1: 00000000000000000000000001000000:0277 0:0 0A\n"
    )
    texts = {"/proc/net/tcp": four, "/proc/net/tcp6": six}
    assert listening(texts.__getitem__) == [("::", 22), ("10.77.0.10", 6379), ("0.0.0.0", 8265)]


def test_a_report_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "RAY_AUTH_TOKEN": "sEcReT1", "AWS_SECRET_ACCESS_KEY": "sEcReT2", "LAB_TRACKING": "http://me:sEcReT3@head:5000",
        "LAB_STORAGE": "s3://key:sEcReT4@bucket/x",
    }  # fmt: skip
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "report.json"
    write(file, [fault("a", "b", "c")], [NODE])
    assert "sEcReT" not in file.read_text()
    report = json.loads(file.read_text())
    assert report["environment"]["RAY_AUTH_TOKEN"] == "(not shown)"
    assert report["nodes"][0]["host"] == "lab-1"
    with pytest.raises(LabError, match="cannot be written"):
        write(tmp_path / "no" / "report.json", [], [])


def test_a_host_that_nobody_answers_for_is_told(tmp_path: Path) -> None:
    config = {
        "provider": {"type": "local", "head_ip": "127.0.0.254", "worker_ips": []},
        "auth": {"ssh_user": "nobody", "ssh_private_key": str(tmp_path / "key")},
    }
    (found,) = hosts.findings(config)
    assert found.level is Level.FAULT
    assert "cannot be reached on port 22" in found.what or "does not let nobody in" in found.what


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch):
    """AWS's own client against a simulation of its servers."""
    moto = pytest.importorskip("moto")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws():
        yield


@pytest.mark.usefixtures("account")
def test_an_account_is_asked_for_its_bucket_its_roles_and_its_machines(filled: dict[str, Any]) -> None:
    import boto3

    said = "\n".join(str(f) for f in aws.findings(filled))
    assert "s3://a-bucket: does not exist" in said
    assert "role perceiver-lab-head: does not exist" in said
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="a-bucket")
    for role in ("head", "worker"):
        boto3.client("iam").create_instance_profile(InstanceProfileName=f"perceiver-lab-{role}")
    found = list(aws.findings(filled))
    assert [str(f) for f in found if f.level is Level.FAULT and "has no" not in f.what] == []
    filled["available_node_types"]["gpu_spot"]["node_config"]["InstanceType"] = "p99.huge"
    assert any("has no p99.huge" in f.what for f in aws.findings(filled))


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_what_the_account_lacks_is_made_once_and_the_configuration_it_prints_has_no_fault(
    region: str, tmp_path: Path
) -> None:
    from clusters.aws_account import make

    text = make("a-bucket", region)
    assert make("a-bucket", region) == text
    config = yaml.safe_load(text)
    assert config["provider"]["region"] == region
    token = tmp_path / "auth_token"
    token.write_text("f" * 64)
    token.chmod(0o600)
    config["file_mounts"]["~/.ray/auth_token"] = str(token)
    assert faults(config) == []
    said = [str(f) for f in aws.findings(config) if f.level is Level.FAULT and "has no" not in f.what]
    assert said == [], "bucket and roles are there"


@pytest.mark.usefixtures("account")
def test_workers_may_use_the_bucket_alone_and_the_head_ends_only_its_own_machines() -> None:
    import boto3

    from clusters.aws_account import make

    make("a-bucket", "us-east-1")
    iam = boto3.client("iam")

    def allowed(role: str) -> list[dict[str, Any]]:
        name = f"perceiver-lab-{role}"
        return iam.get_role_policy(RoleName=name, PolicyName=name)["PolicyDocument"]["Statement"]

    assert {s["Resource"] for s in allowed("worker")} == {"arn:aws:s3:::a-bucket", "arn:aws:s3:::a-bucket/*"}
    (ends,) = (s for s in allowed("head") if "ec2:TerminateInstances" in s["Action"])
    cluster = yaml.safe_load((ROOT / "cluster.yaml").read_text())["cluster_name"]
    assert ends["Condition"]["StringEquals"] == {"ec2:ResourceTag/ray-cluster-name": cluster}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("ExpiredToken", "the credentials for AWS have expired"),
        ("InvalidClientTokenId", "AWS does not know these credentials"),
        ("AccessDenied", "these credentials may not look at it"),
    ],
)
def test_credentials_that_do_not_serve_are_one_line(
    filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    import boto3
    from botocore.stub import Stubber

    client = boto3.client("sts", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        stub.add_client_error("get_caller_identity", service_error_code=code)
        monkeypatch.setattr(boto3, "client", lambda service, config: client)
        (found,) = aws.findings(filled)
    assert found.level is Level.FAULT
    assert says in str(found)


def test_no_credentials_at_all_are_one_line(
    filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (found,) = aws.findings(filled)
    assert "no credentials for AWS on this machine" in str(found)


def test_the_shell_answers_with_the_faults_and_ends_with_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "lab.cli", "doctor",
            "--config", "clusters/on-premises.yaml", "--bundle", tmp_path / "r.json",
        ],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}", "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "provider.head_ip: still says 'CHANGE-ME-HEAD'" in done.stdout
    assert "there is no token" in done.stdout
    assert (tmp_path / "r.json").exists()
