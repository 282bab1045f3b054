"""TLS between Ray's processes: who has a certificate of the cluster's authority is let in, nobody else."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clusters.tls import with_tls
from lab.health import Level, configuration
from tests.cluster.conftest import Head, free_port

ROOT = Path(__file__).parents[2]
CONFIGURATIONS = ("cluster.yaml", "clusters/on-premises.yaml", "clusters/gcp.yaml")
pytestmark = pytest.mark.timeout(600)
JOIN = """
import os, ray
ray.init(address=os.environ["GCS"], log_to_driver=False, logging_level=40)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as At
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
one = ray.remote(lambda: 1)
answers = [one.options(num_cpus=0, scheduling_strategy=At(node, soft=False)).remote() for node in nodes]
print("nodes that answered:", sum(ray.get(answers, timeout=100)))
"""


def certificates(what: str, folder: Path, **environment: str) -> None:
    words = ["bash", str(ROOT / "clusters" / "certificates.sh"), what, str(folder)]
    subprocess.run(words, check=True, timeout=60, env=os.environ | environment)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and the certificate of this machine as a node."""
    folder = tmp_path_factory.mktemp("certificates") / "tls"
    certificates("authority", folder)
    certificates("node", folder)
    return folder


def variables(folder: Path) -> dict[str, str]:
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": str(folder / "ca.crt"),
        "RAY_TLS_SERVER_CERT": str(folder / "node.crt"),
        "RAY_TLS_SERVER_KEY": str(folder / "node.key"),
    }


class TlsHead(Head):
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        several = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}  # more nodes than one may join
        return super().environment | several | variables(self.folder)


def test_an_authority_is_made_once_and_its_key_is_for_its_owner_alone(authority: Path) -> None:
    before = (authority / "ca.crt").read_bytes()
    certificates("authority", authority)
    assert (authority / "ca.crt").read_bytes() == before
    keys = [authority / "ca.key", authority / "node.key"]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600, 0o600]


def test_a_node_has_a_certificate_for_every_address_it_is_spoken_to_at(tmp_path: Path) -> None:
    certificates("authority", tmp_path)
    certificates("node", tmp_path, LAB_TLS_ADDRESSES="10.0.0.7 192.168.1.7")
    stated = ssl._ssl._test_decode_cert(str(tmp_path / "node.crt"))  # type: ignore[attr-defined]
    assert {value for kind, value in stated["subjectAltName"] if kind == "IP Address"} == {
        "127.0.0.1", "10.0.0.7", "192.168.1.7",
    }  # fmt: skip
    checked = ["openssl", "verify", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / "node.crt")]
    assert subprocess.run(checked, check=False, timeout=30, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_takes_certificates_before_ray_starts(name: str) -> None:
    text = (ROOT / name).read_text()
    plain, sealed = yaml.safe_load(text), yaml.safe_load(with_tls(text))
    assert sealed["file_mounts"].items() >= plain["file_mounts"].items()
    assert {f"~/.ray/tls/ca.{end}" for end in ("crt", "key")} < set(sealed["file_mounts"])
    added = [line for line in sealed["setup_commands"] if line not in plain["setup_commands"]]
    assert "RAY_USE_TLS=1\n" in added[0]
    assert added[1:] == ["bash ~/lab/certificates.sh node"]
    with pytest.raises(ValueError, match="has TLS already"):
        with_tls(with_tls(text))
    with pytest.raises(ValueError, match="start from that"):
        with_tls("cluster_name: mine\n")


def test_a_missing_authority_and_one_that_others_may_read_are_named(tmp_path: Path) -> None:
    config = {"file_mounts": {f"~/.ray/tls/ca.{end}": str(tmp_path / f"ca.{end}") for end in ("crt", "key")}}

    def faults() -> str:
        return "\n".join(str(f) for f in configuration._files(config, "x.yaml") if f.level is Level.FAULT)

    assert faults().count("there is no authority for TLS. `bash clusters/certificates.sh authority`") == 2
    certificates("authority", tmp_path)
    assert "authority" not in faults()
    (tmp_path / "ca.key").chmod(0o644)
    assert f"others on this machine may read the authority's key. chmod 600 {tmp_path}" in faults()


@pytest.fixture(scope="module")
def nodes(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsHead]:
    """A head and a worker of this machine, with certificates and the token."""
    head = TlsHead(tmp_path_factory.mktemp("tls-head"))
    head.folder = authority
    sessions, worker = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")), None
    try:
        head.start()
        ports = (
            "dashboard-agent-listen-port",
            "metrics-export-port",
            "object-manager-port",
            "node-manager-port",
        )
        worker = subprocess.Popen(
            [
                Path(sys.executable).with_name("ray"), "start", f"--address=127.0.0.1:{head.gcs}", "--block",
                "--num-cpus=1", "--node-ip-address=127.0.0.1", f"--temp-dir={sessions}",
                "--object-store-memory=100000000", *(f"--{name}={free_port()}" for name in ports),
            ],
            env=head.environment, start_new_session=True,
            stdout=(head.home / "worker.log").open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        yield head
    finally:
        head.kill()
        if worker is not None:
            worker.terminate()
            worker.wait(60)
        shutil.rmtree(sessions, ignore_errors=True)


def joins(head: Head, folder: Path | None, patience: float = 60) -> str:
    """What a driver says that holds the token, with the certificates of a folder, or none. Ray tries for
    minutes where it is refused: it is ended after `patience` seconds."""
    environment = {n: v for n, v in head.environment.items() if not n.startswith(("RAY_USE_TLS", "RAY_TLS_"))}
    environment |= {"GCS": f"127.0.0.1:{head.gcs}"} | (variables(folder) if folder else {})
    words = ["timeout", "-s", "KILL", str(patience), sys.executable, "-c", JOIN]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200, check=False)
    return done.stdout + done.stderr


def greeting(port: int, context: ssl.SSLContext) -> bytes:
    """The first bytes that a gRPC server says to one that has said its own first; none where the handshake
    fails, which is told to the side without a certificate only after its own part of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as sealed:
                sealed.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
                return sealed.recv(64)
        except (ssl.SSLError, ConnectionError):
            return b""


@pytest.mark.slow
def test_two_nodes_and_a_driver_with_certificates_work_together(nodes: TlsHead, authority: Path) -> None:
    deadline = time.monotonic() + 240
    while "nodes that answered: 2" not in (said := joins(nodes, authority)):
        assert time.monotonic() < deadline, said[-2000:] + (nodes.home / "worker.log").read_text()


@pytest.mark.slow
def test_the_token_alone_and_a_certificate_of_another_authority_are_refused(
    nodes: TlsHead, authority: Path, tmp_path: Path
) -> None:
    assert "answered" not in joins(nodes, None)
    certificates("authority", tmp_path)
    certificates("node", tmp_path)
    assert "answered" not in joins(nodes, tmp_path)
    assert "nodes that answered" in joins(nodes, authority), "in as much time a certificate lets in"


@pytest.mark.slow
def test_a_stranger_gets_no_word_through_the_handshake(nodes: TlsHead, authority: Path) -> None:
    context = ssl.create_default_context(cafile=str(authority / "ca.crt"))
    context.set_alpn_protocols(["h2"])
    assert greeting(nodes.gcs, context) == b""
    context.load_cert_chain(authority / "node.crt", authority / "node.key")
    assert greeting(nodes.gcs, context)[3:4] == b"\x04", "SETTINGS, with which HTTP/2 begins"
