"""A cluster's configuration, looked at before money is spent: its words, its files, its environment."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import arrival
from lab.errors import LabError, did_you_mean
from lab.health.finding import Finding, fault, fine, warning
from lab.tracking.provenance import CODE

PLACEHOLDER = "CHANGE-ME"
TOKEN_MOUNT = "~/.ray/auth_token"  # noqa: S105 (where it is)
AUTHORITY_MOUNTS = ("~/.ray/tls/ca.crt", "~/.ray/tls/ca.key")
TOKEN_LENGTH = 32
"""characters that nobody guesses"""


def read(file: Path) -> dict[str, Any]:
    """The file as it is written. Raises LabError where it is not there or is not YAML."""
    try:
        found = yaml.safe_load(file.read_text())
    except OSError as missing:
        raise LabError(
            f"no configuration {file} ({missing.strerror}): give the path of cluster.yaml or of a variant "
            "in clusters/."
        ) from None
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise LabError(
            f"{file} is no YAML: {where}, {getattr(fault, 'problem', None) or 'it cannot be read'}."
        ) from None
    if not isinstance(found, dict):
        raise LabError(f"{file} holds no fields: start from cluster.yaml or a variant in clusters/.")
    return found


def findings(config: Mapping[str, Any], name: str) -> Iterator[Finding]:
    """All that can be told from the file and from this machine. Nothing is sent anywhere."""
    wrong = list(_against_schema(config, name)) or list(
        _types(config, name)
    )  # the second relies on the first
    wrong += _unchanged(config, name)
    yield from wrong
    if not wrong:
        yield fine(name, "Ray takes it, and nothing is left to change in it")
    yield from _files(config, name)
    yield from _environment(name)


def _against_schema(config: Mapping[str, Any], name: str) -> Iterator[Finding]:
    """Ray's own schema, in words that say where."""
    import jsonschema

    ray = importlib.util.find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    schema = json.loads(Path(ray.origin).with_name("autoscaler").joinpath("ray-schema.json").read_text())
    for error in jsonschema.Draft7Validator(schema).iter_errors(config):
        place = ".".join(map(str, error.absolute_path)) or "the top"
        known = sorted(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
        if error.validator == "additionalProperties":
            for field in sorted(error.instance.keys() - known):
                yield fault(
                    f"{name}, {place}", f"no field {field!r}", f"Remove it.{did_you_mean(field, known)}"
                )
        elif error.validator == "required":
            missing = [field for field in error.validator_value if field not in error.instance]
            yield fault(f"{name}, {place}", f"{missing[0]!r} is missing", "Take it from cluster.yaml")
        else:
            wanted = f"{error.validator} {error.validator_value}"
            yield fault(f"{name}, {place}", f"{str(error.instance)[:60]!r} is not of {wanted}", "Correct it")


def _types(config: Mapping[str, Any], name: str) -> Iterator[Finding]:
    """What Ray's schema does not look at, and would be known minutes into `ray up`."""
    types = config.get("available_node_types")
    kind = (config.get("provider") or {}).get("type")
    if kind not in {"aws", "gcp", "azure", "local", "vsphere", "aliyun", "external"}:
        near = did_you_mean(str(kind), ["aws", "gcp", "azure", "local"])
        yield fault(f"{name}, provider.type", f"no provider {kind!r}", f"Correct it.{near}")
    if not isinstance(types, dict):
        if kind != "local":
            yield fault(name, "no available_node_types", "Take them from cluster.yaml")
        return
    head = config.get("head_node_type")
    if head not in types:
        near = did_you_mean(str(head), types)
        yield fault(
            f"{name}, head_node_type", f"no node type {head!r}", f"There is {', '.join(types)}.{near}"
        )
    least = sum(made.get("min_workers", 0) for made in types.values() if isinstance(made, dict))
    if least > config.get("max_workers", 2):
        yield fault(
            f"{name}, max_workers",
            f"{config.get('max_workers', 2)} is less than all min_workers, {least}",
            "Raise it",
        )
    for label, made in types.items():
        if (
            isinstance(made, dict)
            and label == head
            and "spot" in json.dumps(made.get("node_config", {})).lower()
        ):
            yield warning(
                f"{name}, {label}",
                "the head is a spot instance",
                "It holds the record and the queue: make it on-demand",
            )


def _unchanged(config: Any, name: str, path: str = "") -> Iterator[Finding]:
    """Every placeholder that is left."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _unchanged(value, name, f"{path}.{key}" if path else str(key))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            yield from _unchanged(value, name, f"{path}[{number}]")
    elif isinstance(config, str):
        for line in config.splitlines():
            if PLACEHOLDER in line:
                yield fault(
                    f"{name}, {path}",
                    f"still says {line.strip()!r}",
                    "The comment beside it says what to write",
                )


def _files(config: Mapping[str, Any], name: str) -> Iterator[Finding]:
    mounts = config.get("file_mounts") or {}
    for there, here in mounts.items():
        file = Path(str(here)).expanduser()
        if there == TOKEN_MOUNT:
            yield from _token(file)
        elif there in AUTHORITY_MOUNTS:
            yield from _authority(file)
        elif not file.exists():
            yield fault(
                f"{name}, file_mounts",
                f"no file {here}",
                "Run this, and `ray up`, from the repository's root",
            )
    if TOKEN_MOUNT not in mounts:
        yield fault(
            f"{name}, file_mounts", f"no {TOKEN_MOUNT}", "Take it from cluster.yaml: nodes need the token"
        )
    key = (config.get("auth") or {}).get("ssh_private_key")
    if key and PLACEHOLDER not in key:
        file = Path(key).expanduser()
        if not file.is_file():
            yield fault(
                f"{name}, auth.ssh_private_key", f"no key {key}", "`ssh-keygen -t ed25519`, or name yours"
            )
        elif file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield fault(str(key), "others may read it, so ssh refuses it", f"chmod 600 {key}")


def _authority(file: Path) -> Iterator[Finding]:
    """Of the certificates; who has its key is a node."""
    if not file.is_file():
        yield fault(str(file), "there is no authority for TLS", "`bash clusters/certificates.sh authority`")
    elif file.suffix == ".key" and file.stat().st_mode & 0o077:
        yield fault(str(file), "others on this machine may read the authority's key", f"chmod 600 {file}")


def _token(file: Path) -> Iterator[Finding]:
    if not file.is_file():
        yield fault(str(file), "there is no token", "`ray get-auth-token --generate > /dev/null` makes one")
        return
    if len(file.read_text().strip()) < TOKEN_LENGTH:
        yield fault(
            str(file), "it is no token", "Delete it, then `ray get-auth-token --generate > /dev/null`"
        )
    elif file.stat().st_mode & 0o077:
        yield fault(str(file), "others on this machine may read the token", f"chmod 600 {file}")
    else:
        yield fine(str(file), "the token is there, and yours alone")


def _environment(name: str) -> Iterator[Finding]:
    """Whether what submits is what the nodes will be: both come from the lock."""
    lock = arrival.locked((CODE.parents[1] / "constraints.txt").read_text())
    differs = [
        f"{dist} {here} (locked: {lock[dist]})"
        for dist in arrival.FOREMOST
        if (here := arrival.installed(dist)) and here.partition("+")[0] != lock[dist]
    ]
    if differs:
        yield fault(
            "this environment", ", ".join(differs), "`make install`: the cluster will have what is locked"
        )
    else:
        yield fine("this environment", "Ray, torch, MLflow and Optuna are the locked ones")


def places(config: Mapping[str, Any]) -> dict[str, str]:
    """LAB_DATA, LAB_STORAGE, ... as the setup commands write them."""
    text = "\n".join(line for line in config.get("setup_commands") or [] if isinstance(line, str))
    return {
        name: value.strip("\"'") for name, value in re.findall(r"^\s*(LAB_\w+)=(.*)$", text, re.MULTILINE)
    }
