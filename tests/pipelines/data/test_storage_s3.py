"""Prepared to, verified on and read from an object store: a real HTTP server that speaks S3."""

import hashlib
import logging
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from pyarrow import fs
from werkzeug.serving import make_server

import pipelines.data as shelf
from lab.errors import CorruptShard, DataError, MissingDataset, StorageUnavailable
from lab.spec import Batch, Shard
from pipelines.data import storage
from pipelines.data.build import build
from pipelines.data.storage import PARTIAL, Directory

SECRET = "S3cr3tK3yThatMustNotBeSeen"
ADDRESS = "s3://bucket/data"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class Gate:
    """Stands before the store, as a network does: it can be slow, refuse a request or break off an answer."""

    store: Any
    endpoint: str = ""
    delay: float = 0.0
    signed_only: bool = False
    refuse: Callable[[str], bool] = lambda request: False
    cut: Callable[[str], bool] = lambda request: False
    asked: list[str] = field(default_factory=list)
    together: int = 0
    most_together: int = 0
    counting: Any = field(default_factory=threading.Lock)

    def __call__(self, request: dict[str, Any], respond: Any) -> Iterator[bytes]:
        if not request["PATH_INFO"].startswith("/bucket"):
            yield from self.store(request, respond)
            return
        said = f"{request['REQUEST_METHOD']} {request['PATH_INFO']}"
        wanted = f"{said} {request.get('HTTP_RANGE', '')}"
        with self.counting:
            self.asked.append(said)
            self.together += 1
            self.most_together = max(self.most_together, self.together)
        try:
            time.sleep(self.delay)
            if self.signed_only and "HTTP_AUTHORIZATION" not in request:
                respond("403 Forbidden", [("Content-Length", "0")])
                return
            if self.refuse(wanted):
                respond("503 Service Unavailable", [("Content-Length", "0")])
                return
            content = b"".join(self.store(request, respond))
            if request["REQUEST_METHOD"] == "GET" and self.cut(wanted):
                yield content[: len(content) // 2]
                raise ConnectionAbortedError
            yield content
        finally:
            with self.counting:
                self.together -= 1

    def objects(self) -> dict[str, str]:
        """Name in the data set's folder -> hash of its bytes."""
        there = fs.S3FileSystem(endpoint_override=self.endpoint)
        found = there.get_file_info(fs.FileSelector("bucket/data/numbers", allow_not_found=True))
        return {i.base_name: hashlib.sha256(self.read(i.base_name)).hexdigest() for i in found if i.is_file}

    def read(self, name: str) -> bytes:
        return bytes(
            fs.S3FileSystem(endpoint_override=self.endpoint)
            .open_input_stream(f"bucket/data/numbers/{name}")
            .read()
        )

    def put(self, name: str, data: bytes) -> None:
        with fs.S3FileSystem(endpoint_override=self.endpoint).open_output_stream(
            f"bucket/data/numbers/{name}"
        ) as stream:
            stream.write(data)

    def call(self, path: str, data: bytes = b"") -> None:
        kind = {"Content-Type": "text/plain"}
        urllib.request.urlopen(
            urllib.request.Request(self.endpoint + path, data, kind, method="POST")
        ).close()


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """moto's S3 behind a gate, on a port of this machine."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    gate.endpoint = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield gate
    server.shutdown()
    serving.join()


@pytest.fixture
def s3(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """An empty bucket, and the environment by which every S3 client finds it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.endpoint)
    gate.call("/moto-api/reset")
    fs.S3FileSystem(endpoint_override=gate.endpoint, allow_bucket_creation=True).create_dir("bucket")
    yield gate
    fresh = Gate(gate.store)
    gate.delay, gate.refuse, gate.cut = fresh.delay, fresh.refuse, fresh.cut
    gate.signed_only = fresh.signed_only


def prepare(numbers: Any, examples: int = 100, **options: Any) -> Any:
    return build(ADDRESS, "numbers", 1, lambda: numbers.plan(examples, **options))


def same(left: Batch, right: Batch) -> bool:
    pairs = [(getattr(left, f), getattr(right, f)) for f in ("inputs", "targets", "weights", "ids")]
    return all(torch.equal(a, b) for a, b in pairs)


def opened(numbers: Any) -> Any:
    return replace(numbers, address=ADDRESS).open()


def test_a_store_holds_the_bytes_that_a_disk_holds(s3: Gate, numbers: Any) -> None:
    local, remote = numbers.prepare(), prepare(numbers)
    assert remote.manifest == local.manifest
    assert remote.address == "s3://bucket/data/numbers"
    assert s3.objects() == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in numbers.folder.iterdir()
        if file.name != ".lock"
    }


def test_a_store_gives_the_batches_that_a_disk_gives(s3: Gate, numbers: Any) -> None:
    numbers.prepare()
    prepare(numbers)
    local, remote = numbers.open(), opened(numbers)
    options: dict[str, Any] = {"batch_size": 9, "seed": 3, "epoch": 1, "start": 2, "shard": Shard(1, 2)}
    for one, other in zip(local.batches("train", **options), remote.batches("train", **options), strict=True):
        assert same(one, other)
    for one, other in zip(local.scan("test", batch_size=4), remote.scan("test", batch_size=4), strict=True):
        assert same(one, other)


def test_the_endpoint_may_be_a_part_of_the_address(
    s3: Gate, numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(numbers)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    host = s3.endpoint.removeprefix("http://")
    address = f"s3://AKIDEXAMPLE:{SECRET}@bucket/data?endpoint_override={host}&scheme=http"
    again = build(address, "numbers", 1, lambda: pytest.fail("it is prepared"))
    assert again.already
    assert again.address == "s3://bucket/data/numbers"
    with pytest.raises(MissingDataset) as refused:
        shelf.verify(address, "digits")
    assert SECRET not in str(refused.value)
    assert "digits is not prepared under s3://bucket/data/digits" in str(refused.value)


def test_the_states_of_a_data_set_on_a_store(s3: Gate) -> None:
    assert shelf.inventory(ADDRESS, "digits").state == "not prepared"
    shelf.prepare("digits", ADDRESS)
    assert shelf.inventory(ADDRESS, "digits").state == "prepared"
    assert "s3://bucket/data/digits" in str(shelf.describe(ADDRESS, "digits"))
    assert shelf.verify(ADDRESS, "digits").already
    Directory.at(ADDRESS, "digits").delete("test-00000-of-00001.parquet")
    assert shelf.inventory(ADDRESS, "digits").state == "damaged"
    assert not shelf.prepare("digits", ADDRESS).already


def test_a_damaged_object_is_damaged_and_written_anew(s3: Gate, numbers: Any) -> None:
    manifest = prepare(numbers).manifest
    whole = s3.objects()
    name = "train-00002-of-00005.parquet"
    data = s3.read(name)
    place = next(data.index(numbers.payload(i)) for i in range(100) if numbers.payload(i) in data)
    s3.put(name, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(CorruptShard, match=rf"s3://bucket/data/numbers/{name}, row group \d, is damaged"):
        list(opened(numbers).scan("train", batch_size=10))
    assert prepare(numbers).manifest == manifest
    assert s3.objects() == whole


def test_no_half_written_object_has_the_name_of_a_whole_one(s3: Gate, numbers: Any) -> None:
    directory = Directory.at(ADDRESS, "numbers")
    for before in ({}, {"a.parquet": hashlib.sha256(b"first").hexdigest()}):
        with suppress(KeyboardInterrupt), directory.writing("a.parquet") as stream:
            stream.write(bytes(11 << 20))
            assert s3.objects() == before
            raise KeyboardInterrupt
        assert s3.objects() == before
        with directory.writing("a.parquet") as stream:
            stream.write(b"first")
    assert s3.objects() == {"a.parquet": hashlib.sha256(b"first").hexdigest()}


def test_what_was_left_half_written_is_swept_once_nobody_can_be_writing_it(
    s3: Gate, numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(numbers, 20)
    left = f"train-00000-of-00001.parquet.0123{PARTIAL}"
    s3.put(left, b"half")
    Directory.at(ADDRESS, "numbers").delete("manifest.json")
    prepare(numbers, 20)
    assert left in s3.objects()
    monkeypatch.setattr(storage, "ABANDONED", timedelta(0))
    Directory.at(ADDRESS, "numbers").delete("manifest.json")
    prepare(numbers, 20)
    assert left not in s3.objects()


def test_killed_at_any_moment_and_repeated_gives_the_same_objects(
    s3: Gate, numbers: Any, background: Callable[..., BaseProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "ABANDONED", timedelta(0))
    numbers.prepare(60)
    program = """
        import os
        os.environ.update(environment)
        from pipelines.data.build import build
        from pipelines.data.plan import Entry, Plan
        import pyarrow as pa, numpy as np
        SIZE = 40
        schema = pa.schema([pa.field("key", pa.string(), nullable=False),
                            pa.field("label", pa.int32(), nullable=False),
                            pa.field("payload", pa.binary(), nullable=False)])
        def row(entry):
            index = entry.origin
            noise = np.random.default_rng(index).bytes(SIZE - 4)
            return {"key": entry.key, "label": index % 2, "payload": index.to_bytes(4, "little") + noise}
        entries = [Entry(f"{index:05d}", SIZE, index) for index in range(60)]
        plan = Plan("numbers", ("even", "odd"), schema, {"train": entries, "test": entries[:15]}, row,
                    row_group_bytes=7 * SIZE, file_bytes=21 * SIZE)
        begun.set()
        build("s3://bucket/data", "numbers", 1, lambda: plan)
    """
    s3.delay = 0.01
    for delay in (0.1, *(random.uniform(0.05, 0.6) for _ in range(3))):
        process = background(program, environment=ENVIRONMENT | {"AWS_ENDPOINT_URL": s3.endpoint})
        time.sleep(delay)
        process.kill()
        process.join()
    s3.delay = 0.0
    prepare(numbers, 60)
    assert s3.objects() == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in numbers.folder.iterdir()
        if file.name != ".lock"
    }


def test_reading_survives_a_request_that_fails(s3: Gate, numbers: Any) -> None:
    """Each is answered with 503 at first, then its answer breaks off, and only then it is answered."""
    prepare(numbers)
    expected = list(opened(numbers).scan("train", batch_size=10))
    times: Counter[str] = Counter()

    def nth(request: str) -> int:
        times[request] += 1
        return times[request]

    s3.refuse = lambda request: nth(f"asked {request}") == 1
    s3.cut = lambda request: nth(f"answered {request}") == 1
    for one, other in zip(opened(numbers).scan("train", batch_size=10), expected, strict=True):
        assert same(one, other)


def test_a_store_that_goes_away_while_it_is_read_is_one_clear_line(s3: Gate, numbers: Any) -> None:
    """And not a damaged shard: nobody is to prepare again what is only out of reach."""
    prepare(numbers, 200, per_group=2)
    batches = opened(numbers).scan("train", batch_size=2)
    next(batches)
    s3.refuse = lambda request: True
    with pytest.raises(StorageUnavailable) as away:
        list(batches)
    text = str(away.value)
    assert text.startswith("s3://bucket/data/numbers/train-")
    assert "cannot be" in text
    assert "check AWS_ENDPOINT_URL and the network" in text
    assert "\n" not in text
    assert "prepare" not in text
    assert SECRET not in text
    assert not [t for t in threading.enumerate() if t.name.startswith(("prefetch", "read", "decode"))]


def test_a_store_that_is_away_is_asked_to_prepare_nothing(
    s3: Gate, numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(
        StorageUnavailable,
        match=r"^s3://bucket/data/numbers/manifest.json cannot be read: NETWORK_CONNECTION during \w+, "
        r"Could not connect to server; check AWS_ENDPOINT_URL and the network",
    ):
        build(ADDRESS, "numbers", 1, lambda: pytest.fail("nothing can be planned"))


def test_a_bucket_that_does_not_exist_is_named(s3: Gate, numbers: Any) -> None:
    line = r"there is no bucket 'bucke'; create the bucket, or set LAB_DATA to another address"
    with pytest.raises(StorageUnavailable, match=line):
        shelf.inventory("s3://bucke/data", "digits")
    with pytest.raises(StorageUnavailable, match=line):
        build("s3://bucke/data", "numbers", 1, lambda: numbers.plan(10))
    with pytest.raises(StorageUnavailable, match=line), Directory.at("s3://bucke", "a").writing("b"):
        pass


def test_credentials_that_are_refused_are_named_and_not_shown(
    s3: Gate,
) -> None:
    """With the store's own check of signatures switched on."""
    s3.call("/moto-api/reset-auth", b"0")
    try:
        with pytest.raises(StorageUnavailable) as refused:
            shelf.inventory(ADDRESS, "digits")
    finally:
        s3.call("/moto-api/reset-auth", b"inf")
    text = str(refused.value)
    assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)" in text
    assert SECRET not in text
    assert "AKIDEXAMPLE" not in text


def test_credentials_that_are_not_there_are_asked_for_in_one_line(
    s3: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither in the environment nor in the home: the request is made without a signature, and refused."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    s3.signed_only = True
    for ask in (shelf.inventory, lambda root, name: shelf.prepare(name, root)):
        with pytest.raises(
            StorageUnavailable,
            match=r"^s3://bucket/data/digits/manifest.json cannot be read: ACCESS_DENIED during \w+; the "
            r"environment has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \(or "
            r"AWS_PROFILE\), unless a role of this machine is to do\.$",
        ):
            ask(ADDRESS, "digits")


def test_several_reads_are_in_flight_on_a_slow_store(s3: Gate, numbers: Any) -> None:
    prepare(numbers, 200, per_group=2, groups_per_file=100)
    s3.delay, s3.most_together = 0.03, 0
    assert len(list(opened(numbers).scan("train", batch_size=10))) == 20
    assert s3.most_together >= 8


def test_a_row_group_is_one_request_and_a_file_two_more(s3: Gate, numbers: Any) -> None:
    prepare(numbers, 200, per_group=5, groups_per_file=20)
    source = opened(numbers)
    s3.asked.clear()
    list(source.scan("train", batch_size=10))
    row_groups, files = 40, 2
    assert len(s3.asked) == row_groups + 2 * files


def test_no_secret_is_in_what_is_written(s3: Gate, numbers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    host = s3.endpoint.removeprefix("http://")
    address = f"s3://AKIDEXAMPLE:{SECRET}@bucket/data?endpoint_override={host}&scheme=http"
    prepared = build(address, "numbers", 1, lambda: numbers.plan(20))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    for name in s3.objects():
        assert SECRET.encode() not in s3.read(name)
        assert b"AKIDEXAMPLE" not in s3.read(name)
    assert SECRET not in str(prepared)
    with pytest.raises(DataError) as refused:
        Directory.at(f"s4://AKIDEXAMPLE:{SECRET}@bucket/data", "numbers")
    assert SECRET not in str(refused.value)
