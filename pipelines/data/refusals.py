"""What a storage answers when it does not do what it was asked, in words a person can act on."""

from __future__ import annotations

import errno
import os

from lab.errors import StorageUnavailable
from lab.storage.objects import Answer, one_line

_AGAIN = "then run the same command again: what is finished is kept"
_WAYS_OUT = {
    "NO_SUCH_BUCKET": "create the bucket, or set LAB_DATA to another address",
    errno.ENOSPC: f"free some space, {_AGAIN}",
    errno.EDQUOT: f"free some space, {_AGAIN}",
    errno.EFBIG: f"free some space, {_AGAIN}",
    errno.EACCES: "make it yours, or set LAB_DATA to another address",
    errno.EROFS: "set LAB_DATA to another address",
}
_CONNECTION = f"check AWS_ENDPOINT_URL and the network, {_AGAIN}"
_OF_CREDENTIALS = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_CLIENT_TOKEN_ID",
    "UNRECOGNIZED_CLIENT",
)


def unavailable(where: str, what: str, fault: Exception) -> StorageUnavailable:
    """The one line for `where`, which cannot be `what` (read, written, ...). No password is in it."""
    if answer := Answer.of(fault):
        cause = f"{answer.code} during {answer.operation}" + (f", {answer.said}" if answer.said else "")
        code = answer.code.partition(" ")[0]
        way_out = _credentials() if code in _OF_CREDENTIALS else _WAYS_OUT.get(code, _CONNECTION)
    elif "allow_bucket_creation" in (words := one_line(fault)):
        return no_bucket(where, words.split("'")[1])
    elif number := getattr(fault, "errno", None):
        cause, way_out = os.strerror(number), _WAYS_OUT.get(number, f"see to it, {_AGAIN}")
    else:
        cause, way_out = words, f"see to it, {_AGAIN}"
    return StorageUnavailable(f"{where} cannot be {what}: {cause}; {way_out}.")


def no_bucket(where: str, bucket: str) -> StorageUnavailable:
    """The one line for an address in a bucket that does not exist."""
    return StorageUnavailable(f"{where}: there is no bucket {bucket!r}; {_WAYS_OUT['NO_SUCH_BUCKET']}.")


def _credentials() -> str:
    names = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)"
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE"):
        return f"check {names}, and what they are allowed to do"
    return f"the environment has no credentials: set {names}, unless a role of this machine is to do"
