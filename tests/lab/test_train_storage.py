"""Checkpoints on an object store: a real HTTP server that speaks S3, that dies, hangs and comes back."""

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pyarrow import fs

from lab import Resources, Settings, Steps
from lab.errors import CheckpointError, Interrupted
from lab.retention import Retention
from lab.storage import objects, within
from lab.train import keeper
from lab.train.checkpoint import Checkpoint, CheckpointStore
from lab.train.distributed import launch
from lab.train.loop import Resumed, Saved, Stepped
from lab.train.run import train
from tests.lab.toy import FileLedger, Ledger, stop_after, toy_spec

SECRET = "S3cr3tK3yThatMustNotBeSeen"
ADDRESS = "s3://bucket/checkpoints"
SPEC = toy_spec(duration=Steps(120))


@dataclass
class Server:
    """The store as a process of its own: what it holds goes with it when it is killed."""

    port: int
    process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=2).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def objects(self) -> dict[str, int]:
        there = fs.S3FileSystem(endpoint_override=self.endpoint)
        found = there.get_file_info(fs.FileSelector("bucket", recursive=True))
        return {info.path.removeprefix("bucket/checkpoints/"): info.size for info in found if info.is_file}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(probe.getsockname()[1])
    server.start()
    yield server
    server.go_on()
    server.stop()


@pytest.fixture
def s3(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty bucket, and the environment by which every S3 client finds it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    reset = urllib.request.Request(f"{server.endpoint}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    fs.S3FileSystem(endpoint_override=server.endpoint, allow_bucket_creation=True).create_dir("bucket")
    yield server
    server.go_on()


def checkpoint(step: int, size: int = 3) -> Checkpoint:
    return Checkpoint(
        step, {"w": torch.full((size,), float(step))}, {"w.exp_avg": torch.ones(3)}, {"loss": 0.1 + 0.2}
    )


def test_what_was_saved_is_loaded_to_the_bit_and_the_newest_two_are_kept(s3):
    store = CheckpointStore(ADDRESS, "abc")
    assert store.latest() is None
    for step in (1, 2, 10):
        store.save(checkpoint(step))
    assert store.steps() == [10, 2]
    found = store.latest()
    assert torch.equal(found.model["w"], torch.full((3,), 10.0))
    assert found.notes == {"loss": 0.1 + 0.2}
    files = ("model.safetensors", "optimizer.safetensors", "state.json")
    assert set(s3.objects()) == {f"abc/step-{step:09d}/{file}" for step in (2, 10) for file in files}


def test_a_disk_and_a_store_hold_the_same_bytes(s3, tmp_path):
    for address in (ADDRESS, str(tmp_path), f"file://{tmp_path}/by uri"):
        CheckpointStore(address, "abc").save(checkpoint(7))
    there = fs.S3FileSystem(endpoint_override=s3.endpoint)
    for folder in (tmp_path / "abc", tmp_path / "by uri" / "abc"):
        for file in (folder / "step-000000007").iterdir():
            place = f"bucket/checkpoints/abc/step-000000007/{file.name}"
            assert there.open_input_stream(place).read() == file.read_bytes()


def test_without_its_state_it_is_no_checkpoint_and_the_next_one_sweeps_it(s3):
    store = CheckpointStore(ADDRESS, "abc")
    store.save(checkpoint(1))
    there = fs.S3FileSystem(endpoint_override=s3.endpoint)
    with there.open_output_stream("bucket/checkpoints/abc/step-000000005/model.safetensors") as stream:
        stream.write(b"half of it")
    assert store.latest().step == 1
    store.save(checkpoint(6))
    assert store.steps() == [6, 1]
    assert not [name for name in s3.objects() if "step-000000005" in name]


def test_a_damaged_one_is_passed_over_as_on_a_disk(s3, caplog):
    store = CheckpointStore(ADDRESS, "abc")
    store.save(checkpoint(1))
    store.save(checkpoint(2))
    there = fs.S3FileSystem(endpoint_override=s3.endpoint)
    with there.open_output_stream("bucket/checkpoints/abc/step-000000002/optimizer.safetensors") as stream:
        stream.write(b"other bytes")
    assert store.latest().step == 1
    assert "s3://bucket/checkpoints/abc/step-000000002 is damaged: checksums differ" in caplog.text


def test_a_quota_is_counted_in_objects(s3):
    store = CheckpointStore(ADDRESS, "abc", Retention(9, bytes=14_999))
    for step in range(1, 6):
        store.save(checkpoint(step, 1000))
    assert store.steps() == [5, 4, 3]


def test_a_store_that_hangs_for_some_seconds_is_waited_for(s3):
    store = CheckpointStore(ADDRESS, "abc")
    s3.hang()
    threading.Timer(6, s3.go_on).start()
    store.save(checkpoint(1))
    assert store.latest().step == 1


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE", 0.5)
    monkeypatch.setattr(objects, "SILENCE", 1.0)
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.5)
    monkeypatch.setattr(keeper, "LAST_PATIENCE", 2.0)


def test_one_that_stays_away_is_named_with_the_operation_and_not_taken_for_an_empty_one(
    s3, impatient, monkeypatch
):
    store = CheckpointStore(ADDRESS, "abc")
    store.save(checkpoint(1))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = CheckpointStore(f"s3://AKIDEXAMPLE:{SECRET}@bucket/checkpoints", "abc")
    for ask, words in (
        (away.latest, r"^cannot list the checkpoints under s3://bucket/checkpoints/abc: list failed with "),
        (lambda: away.load(1), r"step-000000001 cannot be read: read state.json failed with "),
        (lambda: away.save(checkpoint(2)), r"^cannot write the checkpoint of step 2 under s3://bucket/"),
    ):
        with pytest.raises(CheckpointError, match=words) as said:
            ask()
        assert "NETWORK_CONNECTION" in str(said.value)
        assert "\n" not in str(said.value)
        assert SECRET not in str(said.value)
        assert "AKIDEXAMPLE" not in str(said.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://no-such-bucket/checkpoints", "cannot write the checkpoint of step 1"),
        (f"s4://AKIDEXAMPLE:{SECRET}@bucket", r"storage 's4://\*\*\*@bucket/abc' cannot be opened"),
    ],
)
def test_an_address_that_leads_nowhere_is_said_in_one_line_without_trying_again(s3, address, words):
    begun = time.monotonic()
    with pytest.raises(CheckpointError, match=words) as said:
        CheckpointStore(address, "abc").save(checkpoint(1))
    assert time.monotonic() - begun < objects.PATIENCE
    assert "\n" not in str(said.value)
    assert SECRET not in str(said.value)


def test_a_run_on_a_store_continues_to_the_bits_of_a_run_on_a_disk(s3, tmp_path):
    whole, broken = Ledger(), Ledger()
    train(SPEC, data_root="", storage=str(tmp_path), sink=whole)
    for step in (1, 50):
        with pytest.raises(Interrupted):
            train(SPEC, data_root="", storage=ADDRESS, sink=broken, **stop_after(step))
    train(SPEC, data_root="", storage=ADDRESS, sink=broken)
    assert broken.curve() == whole.curve()
    assert broken.tags == whole.tags


def test_training_goes_on_while_the_store_is_away_and_says_so(s3, impatient, tmp_path, caplog, monkeypatch):
    """It hangs after the first checkpoint, for as long as it takes to miss one, and comes back."""
    monkeypatch.setattr(keeper, "SHARE", 1.0)  # however long the first one took, the next one comes
    whole, sink, saved, missed = Ledger(), Ledger(), [], []

    def watch(event):
        time.sleep(0.02)
        if isinstance(event, Saved):
            saved.append(event.step)
            if len(saved) == 1:
                s3.hang()
        if "Training goes on" in caplog.text and not missed:
            missed.append(event.step)
            s3.go_on()

    spec = toy_spec(duration=Steps(600))
    train(spec, data_root="", storage=str(tmp_path), sink=whole)
    with caplog.at_level(logging.WARNING):
        train(spec, data_root="", storage=ADDRESS, sink=sink, checkpoint_every=0.1, on_event=watch)
    assert f"step {saved[0]} is what it would go back to" in caplog.text
    assert saved[0] < missed[0] < saved[1]
    assert saved[-1] == 600
    assert sink.curve() == whole.curve()


def test_a_store_that_is_away_at_the_end_is_an_error_and_the_run_goes_on_from_the_last_one(s3, impatient):
    saved = []

    def watch(event):
        time.sleep(0.01)
        if isinstance(event, Saved):
            saved.append(event.step)
            s3.hang()

    with pytest.raises(CheckpointError, match="cannot write the checkpoint of step 120 under s3://"):
        train(SPEC, data_root="", storage=ADDRESS, sink=Ledger(), checkpoint_every=0.05, on_event=watch)
    s3.go_on()
    events = []
    train(SPEC, data_root="", storage=ADDRESS, sink=Ledger(), on_event=events.append)
    assert events[0] == Resumed(saved[0])


def test_a_first_checkpoint_that_cannot_be_written_ends_the_run(s3, impatient, monkeypatch):
    """Hours of work would rest on nothing."""
    steps = []

    def watch(event):
        if isinstance(event, Stepped):
            steps.append(event.step)
            s3.hang()

    with pytest.raises(CheckpointError, match="cannot write the checkpoint of step 1 "):
        train(SPEC, data_root="", storage=ADDRESS, sink=Ledger(), checkpoint_every=0, on_event=watch)
    assert steps == [1]


def test_the_endpoint_and_the_keys_may_be_a_part_of_the_address_and_are_not_shown(s3, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    options = f"endpoint_override=127.0.0.1:{s3.port}&scheme=http"
    store = CheckpointStore(f"s3://AKIDEXAMPLE:{SECRET}@bucket/checkpoints?{options}", "abc")
    store.save(checkpoint(3))
    assert store.latest().step == 3
    assert store.address == "s3://bucket/checkpoints/abc"
    with pytest.raises(CheckpointError, match="the option 'endpoint' is none of"):
        CheckpointStore("s3://bucket?endpoint=x", "abc")


def test_the_address_of_a_folder_in_another(tmp_path):
    assert within("/a/b", "ray") == "/a/b/ray"
    assert within("s3://bucket/a/", "ray") == "s3://bucket/a/ray"
    assert within("s3://bucket", "ray") == "s3://bucket/ray"
    assert within("s3://bucket/a?scheme=http", "ray") == "s3://bucket/a/ray?scheme=http"


@pytest.mark.slow
def test_a_worker_group_keeps_its_checkpoints_and_what_ray_leaves_on_the_store(s3, tmp_path, monkeypatch):
    from lab import cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings, two = Settings("", "", ADDRESS, str(tmp_path)), Resources(workers=2)
    spec = toy_spec(duration=Steps(30))
    with cluster.connected(settings, two, groups=True):
        metrics = launch(spec, two, settings, FileLedger(str(tmp_path / "ledger.json")))
    assert metrics["test/top1"] > 0.5
    assert CheckpointStore(ADDRESS, spec.digest).latest().step == 30
    there = fs.S3FileSystem(endpoint_override=s3.endpoint)
    assert there.get_file_info("bucket/checkpoints/ray").type == fs.FileType.Directory
    assert not Path("s3:").exists()
