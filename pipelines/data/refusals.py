"""What a storage answers when it does not do what it was asked, in words a person can act on."""

from __future__ import annotations

import errno
import os
import re

from lab.errors import StorageUnavailable
from lab.tracking.address import shown

_AWS = re.compile(
    r"AWS Error (?P<code>\w+)(?P<status> \(HTTP status \d+\))? "
    r"during (?P<operation>\w+) operation:(?P<words>.*)"
)
_NOISE = re.compile(r"\s*\(Request ID: [^)]*\)|; Details: .*|No response body\.?|curlCode: \d+,\s*")

_CREDENTIALS = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), and what they are allowed to do"
)
_AGAIN = "then run the same command again: what is finished is kept"
_WAYS_OUT = {
    "NO_SUCH_BUCKET": "create the bucket, or set LAB_DATA to another address",
    "ACCESS_DENIED": _CREDENTIALS,
    "INVALID_ACCESS_KEY_ID": _CREDENTIALS,
    "SIGNATURE_DOES_NOT_MATCH": _CREDENTIALS,
    "INVALID_CLIENT_TOKEN_ID": _CREDENTIALS,
    "UNRECOGNIZED_CLIENT": _CREDENTIALS,
    errno.ENOSPC: f"free some space, {_AGAIN}",
    errno.EDQUOT: f"free some space, {_AGAIN}",
    errno.EFBIG: f"free some space, {_AGAIN}",
    errno.EACCES: "make it yours, or set LAB_DATA to another address",
    errno.EROFS: "set LAB_DATA to another address",
}
_CONNECTION = f"check AWS_ENDPOINT_URL and the network, {_AGAIN}"


def unavailable(where: str, what: str, fault: Exception) -> StorageUnavailable:
    """The one line for `where`, which cannot be `what` (read, written, ...). No password is in it."""
    words = " ".join(shown(str(fault)).split())
    if found := _AWS.search(words):
        told = _NOISE.sub("", found["words"]).strip(" .:")
        cause = f"{found['code']}{found['status'] or ''} during {found['operation']}"
        cause += f", {told}" if told else ""
        way_out = _WAYS_OUT.get(found["code"], _CONNECTION)
    elif "allow_bucket_creation" in words:
        return no_bucket(where, words.split("'")[1])
    elif number := getattr(fault, "errno", None):
        cause, way_out = os.strerror(number), _WAYS_OUT.get(number, f"see to it, {_AGAIN}")
    else:
        cause, way_out = words.rstrip("."), f"see to it, {_AGAIN}"
    return StorageUnavailable(f"{where} cannot be {what}: {cause}; {way_out}.")


def no_bucket(where: str, bucket: str) -> StorageUnavailable:
    """The one line for an address in a bucket that does not exist."""
    return StorageUnavailable(f"{where}: there is no bucket {bucket!r}; {_WAYS_OUT['NO_SUCH_BUCKET']}.")
