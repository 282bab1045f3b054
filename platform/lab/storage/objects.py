"""Bundles on an object store (S3, Google Cloud Storage, whatever `pyarrow.fs` opens): lab's door to pyarrow.

Credentials and endpoint come from where every client takes them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
or AWS_PROFILE, or the machine's role; AWS_ENDPOINT_URL for another store than Amazon's.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from lab.errors import CheckpointError
from lab.storage.bundles import Piece
from lab.tracking.address import shown

PATIENCE = 20.0
"""seconds that one operation is tried again while the store does not answer"""
SILENCE = 10.0
"""seconds without a byte after which a request is given up"""
PAUSES = (0.25, 4.0)
"""seconds before the first further try and, doubling, at most"""
_AWS = re.compile(
    r"AWS Error (?P<code>\w+(?: \(HTTP status \d+\))?) during (?P<operation>\w+) operation:\s*(?P<words>.*)"
)
_NOISE = re.compile(r"\s*\(Request ID: [^)]*\)|; Details: .*|No response body\.?|curlCode: \d+,\s*")
_FINAL = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT"
    r"|NO_SUCH_BUCKET|allow_bucket_creation"
)
"""answers that stay the same however often one asks"""

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class ObjectStore:
    """`Bundles` under a prefix. An upload that was broken off leaves no object; the parts of a large one lie
    hidden until the bucket's rule for incomplete uploads frees them."""

    filesystem: fs.FileSystem
    path: str
    scheme: str
    seal: str

    @classmethod
    def at(cls, address: str, *, seal: str) -> Self:
        """Raises CheckpointError when the URI cannot be understood, or there is nobody to ask."""
        try:
            filesystem, path = asked("open", lambda: opened(address))
        except (pa.ArrowException, ValueError, OSError) as fault:
            raise CheckpointError(
                f"storage {shown(address)!r} cannot be opened: {shown(str(fault), address)}. Set LAB_STORAGE "
                "to a path or a URI like s3://bucket/prefix."
            ) from None
        return cls(filesystem, path.rstrip("/"), address.partition("://")[0], seal)

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.path}"

    def sizes(self) -> dict[str, int]:
        found = self._listed()
        return {name: sum(files.values()) for name, files in found.items() if self.seal in files}

    def read(self, name: str, file: str) -> bytes:
        def read() -> bytes:
            with self.filesystem.open_input_stream(self._place(name, file)) as stream:
                return bytes(stream.read())

        return asked(f"read {file}", read)

    def write(self, name: str, files: Mapping[str, Sequence[Piece]]) -> None:
        self.delete(name)
        ordered = sorted(files, key=lambda file: file == self.seal)
        try:
            for file in ordered:
                asked(f"write {file}", lambda file=file: self._upload(self._place(name, file), files[file]))  # type: ignore[misc]
        except FileNotFoundError as fault:  # a bucket that is not there
            raise OSError(told("write", fault)) from None

    def delete(self, name: str) -> None:
        """The seal first: half of a bundle is none."""
        with suppress(FileNotFoundError):
            asked(f"delete {self.seal}", lambda: self.filesystem.delete_file(self._place(name, self.seal)))
        with suppress(FileNotFoundError):
            asked("delete", lambda: self.filesystem.delete_dir(self._place(name)))

    def sweep(self) -> None:
        for name, files in self._listed().items():
            if self.seal not in files:
                self.delete(name)

    def _upload(self, place: str, content: Sequence[Piece]) -> None:
        with self.filesystem.open_output_stream(place) as stream:
            for piece in content:
                stream.write(piece)

    def _listed(self) -> dict[str, dict[str, int]]:
        """Bundle, whole or not -> file -> bytes."""
        everything = fs.FileSelector(self.path, allow_not_found=True, recursive=True)
        found: dict[str, dict[str, int]] = {}
        for info in asked("list", lambda: self.filesystem.get_file_info(everything)):
            name, _, file = info.path.removeprefix(f"{self.path}/").partition("/")
            if info.is_file and file:
                found.setdefault(name, {})[file] = info.size
        return found

    def _place(self, name: str, file: str = "") -> str:
        return f"{self.path}/{name}/{file}".rstrip("/")


def opened(address: str, *, attempts: int = 1) -> tuple[fs.FileSystem, str]:
    """The filesystem and the path in it. Raises ValueError for a URI that cannot be understood.

    S3 is opened by hand, so that a request is made `attempts` times: by its URI, pyarrow would try each again
    by itself, for minutes where the store hangs.
    """
    parts = urlsplit(address)
    if parts.scheme != "s3":
        filesystem, path = fs.FileSystem.from_uri(address)
        return filesystem, path
    options = dict(parse_qsl(parts.query))
    if odd := sorted(options.keys() - {"endpoint_override", "scheme", "region"}):
        raise ValueError(f"the option {odd[0]!r} is none of endpoint_override, scheme and region")
    user, _, bucket = parts.netloc.rpartition("@")
    key, _, secret = (unquote(part) for part in user.partition(":"))
    endpoint = options.get("endpoint_override") or os.environ.get(
        "AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL")
    )
    region = options.get("region") or os.environ.get("AWS_REGION", os.environ.get("AWS_DEFAULT_REGION"))
    if not (region or endpoint):
        region = fs.resolve_s3_region(bucket)
    filesystem = fs.S3FileSystem(
        access_key=key or None,
        secret_key=secret or None,
        region=region,
        endpoint_override=endpoint,
        scheme=options.get("scheme"),
        request_timeout=SILENCE,
        connect_timeout=SILENCE,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
    )
    return filesystem, bucket + parts.path


def asked(operation: str, ask: Callable[[], T]) -> T:
    """What the store answers, asked again for `PATIENCE` seconds while it is away or busy. Raises OSError
    with the operation and the cause."""
    deadline, pause = monotonic() + PATIENCE, PAUSES[0]
    while True:
        try:
            return ask()
        except FileNotFoundError:
            raise
        except OSError as fault:
            if _FINAL.search(str(fault)) or monotonic() + pause > deadline:
                raise OSError(told(operation, fault)) from None
            log.info("%s; asking again in %.2g s", told(operation, fault), pause)
        sleep(pause)
        pause = min(2 * pause, PAUSES[1])


def told(operation: str, fault: Any) -> str:
    """One line: what was asked for and what the store says, without what it repeats of the request."""
    if answer := Answer.of(fault):
        said = f" ({answer.said})" if answer.said else ""
        return f"{operation} failed with {answer.code} during {answer.operation}{said}"
    return f"{operation} failed: {one_line(fault)}"


class Answer(NamedTuple):
    """What a store that speaks S3 answers to a request: a code, such as ACCESS_DENIED, with the HTTP status
    where it is none of S3's own; the request; and its words, if any."""

    code: str
    operation: str
    said: str

    @classmethod
    def of(cls, fault: Any) -> Self | None:
        """The one that a fault tells of."""
        found = _AWS.search(one_line(fault))
        return found and cls(found["code"], found["operation"], _NOISE.sub("", found["words"]).strip(" .:"))


def one_line(fault: Any) -> str:
    """What a fault says, with no credentials in it."""
    return " ".join(shown(str(fault)).split()).rstrip(".")
