"""cluster.yaml and its variants: Ray's own schema takes them, and what they start is closed to strangers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIGURATIONS = ("cluster.yaml", "clusters/on-premises.yaml", "clusters/gcp.yaml")
LAUNCHED = ("head_start_ray_commands", "worker_start_ray_commands")


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text())


def commands(config: dict[str, Any]) -> list[str]:
    return [line for key, lines in config.items() if key.endswith("_commands") for line in lines]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_ray_takes_the_configuration_as_valid(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(read(name))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]


@pytest.mark.parametrize("name", ["cluster.yaml", "clusters/gcp.yaml"])
def test_the_head_is_neither_spot_nor_for_training_and_spot_workers_come_first(name: str) -> None:
    types = read(name)["available_node_types"]
    head = types["head"]
    assert "spot" not in str(head["node_config"]).lower()
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    spot, fallback = types["gpu_spot"], types["gpu_on_demand"]
    assert "spot" in str(spot["node_config"]).lower()
    assert "spot" not in str(fallback["node_config"]).lower()
    assert spot["priority"] > fallback.get("priority", 0)
    assert spot["resources"] == fallback["resources"]
    assert (spot["min_workers"], fallback["min_workers"]) == (0, 0), "an idle cluster pays for its head alone"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_copied_to_the_nodes_is_in_the_repository(name: str) -> None:
    mounts = read(name)["file_mounts"]
    token = mounts.pop("~/.ray/auth_token")
    assert token == "~/.ray/auth_token"
    assert [local for local in mounts.values() if not (ROOT / local).is_file()] == []


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_process_of_ray_wants_the_token_and_the_dashboard_stays_on_loopback(name: str) -> None:
    config = read(name)
    assert "RAY_AUTH_MODE=token" in "\n".join(config["setup_commands"])
    for key in LAUNCHED:
        (start,) = (line for line in config[key] if "ray start" in line)
        assert start.startswith("set -a; . ~/lab.env; set +a;"), "the environment with the token's mode"
        assert "0.0.0.0" not in start
    (head,) = (line for line in config["head_start_ray_commands"] if "ray start" in line)
    assert "--dashboard-host=127.0.0.1" in head


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_commands_are_shell_that_bash_can_read(name: str) -> None:
    for line in commands(read(name)):
        checked = subprocess.run(
            ["bash", "-n"], input=line, capture_output=True, text=True, check=False, timeout=10
        )
        assert checked.returncode == 0, f"{line}\n{checked.stderr}"


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize(("misses", "status"), [(0, 0), (3, 0), (5, 1)])
def test_a_node_that_misses_the_thirty_seconds_it_has_to_join_tries_again(
    name: str, misses: int, status: int, tmp_path: Path
) -> None:
    ray = tmp_path / "lab-environment" / "bin" / "ray"
    ray.parent.mkdir(parents=True)
    ray.write_text(
        '#!/bin/sh\necho "$1" >> "$HOME/asked"\n'
        f'[ "$1" = stop ] || [ "$(grep -c start "$HOME/asked")" -gt {misses} ]\n'
    )
    ray.chmod(0o755)
    (tmp_path / "lab.env").write_text("")
    (start,) = (line for line in read(name)["worker_start_ray_commands"] if "ray start" in line)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "RAY_HEAD_IP": "127.0.0.1"}
    done = subprocess.run(
        ["bash", "-c", start], env=environment, check=False, capture_output=True, timeout=60
    )
    assert done.returncode == status
    asked = (tmp_path / "asked").read_text().split()
    assert asked.count("start") == min(misses + 1, 5)
    assert asked.count("stop") == misses, "nothing is left of an attempt that failed"


@pytest.mark.parametrize("script", sorted((ROOT / "clusters").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_shell_that_bash_can_read(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False, timeout=10).returncode == 0


def test_the_variants_differ_from_cluster_yaml_in_where_nodes_and_files_are_only() -> None:
    ours = read("cluster.yaml")
    for name in CONFIGURATIONS[1:]:
        theirs = read(name)
        assert theirs["file_mounts"].items() >= ours["file_mounts"].items(), name
        assert theirs["head_setup_commands"] == ours["head_setup_commands"], name
        assert theirs["worker_start_ray_commands"] == ours["worker_start_ray_commands"], name
        further = len(ours["setup_commands"])
        assert theirs["setup_commands"][1:further] == ours["setup_commands"][1:], name


def test_what_kubernetes_starts_wants_the_token_too_and_is_shut_to_other_pods() -> None:
    documents = {
        d["kind"]: d for d in yaml.safe_load_all((ROOT / "clusters/kubernetes/raycluster.yaml").read_text())
    }
    spec = documents["RayCluster"]["spec"]
    pods = [
        spec["headGroupSpec"]["template"],
        *(group["template"] for group in spec["workerGroupSpecs"]),
    ]
    for pod in pods:
        ray = next(c for c in pod["spec"]["containers"] if c["name"].startswith("ray-"))
        environment = {entry["name"]: entry["value"] for entry in ray["env"]}
        assert environment["RAY_AUTH_MODE"] == "token"
        mounted = {mount["mountPath"] for mount in ray["volumeMounts"]}
        assert str(Path(environment["RAY_AUTH_TOKEN_PATH"]).parent) in mounted
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        assert {m["name"] for c in pod["spec"]["containers"] for m in c["volumeMounts"]} <= volumes
    policy = documents["NetworkPolicy"]["spec"]
    labels = policy["podSelector"]["matchLabels"].items()
    assert all(labels <= pod["metadata"]["labels"].items() for pod in pods)
    assert policy["policyTypes"] == ["Ingress"]
    assert all(rule.get("from") for rule in policy["ingress"]), "a rule without `from` lets everybody in"
    claims = [
        v["persistentVolumeClaim"]["claimName"]
        for v in pods[0]["spec"]["volumes"]
        if "persistentVolumeClaim" in v
    ]
    assert claims == [documents["PersistentVolumeClaim"]["metadata"]["name"]]


def test_kubernetes_runs_the_ray_that_is_locked_and_jobs_find_the_cluster() -> None:
    locked = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert locked
    cluster = next(yaml.safe_load_all((ROOT / "clusters/kubernetes/raycluster.yaml").read_text()))
    assert cluster["spec"]["rayVersion"] == locked[1]
    job = read("clusters/kubernetes/rayjob.yaml")
    assert job["spec"]["clusterSelector"]["ray.io/cluster"] == cluster["metadata"]["name"]
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"])["working_dir"].startswith("/opt/lab/code")


def test_every_cluster_gives_a_silent_node_up_after_the_same_time() -> None:
    wanted = {
        ("RAY_health_check_period_ms", "2000"),
        ("RAY_health_check_timeout_ms", "5000"),
        ("RAY_health_check_failure_threshold", "4"),
    }
    for name in CONFIGURATIONS:
        lines = (line.strip().partition("=") for line in "\n".join(read(name)["setup_commands"]).splitlines())
        assert wanted <= {(key, value) for key, _, value in lines}, name
    cluster = next(yaml.safe_load_all((ROOT / "clusters/kubernetes/raycluster.yaml").read_text()))
    head = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert wanted <= {(entry["name"], entry["value"]) for entry in head["env"]}


def test_no_configuration_holds_a_secret_and_every_placeholder_is_marked_alike() -> None:
    for path in [ROOT / "cluster.yaml", *(ROOT / "clusters").rglob("*.yaml")]:
        text = path.read_text()
        assert not re.search(r"AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY|[0-9a-f]{64}", text), path
        assert not re.search(r"<your|TODO|xxx|changeme|CHANGEME|CHANGE_ME", text, re.IGNORECASE), path
