"""The address of a record: what of it may be shown, and whether anybody answers there."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from urllib.parse import unquote

from lab.errors import TrackingUnreachable

PATIENCE = 3.0
"""seconds a server has to say that it is there"""
_USERINFO = re.compile(r"(?<=://)(?:[^/\s:@]*:[^\s@]*|[^/\s@]+)@")
HIDDEN = "***@"


def shown(text: str, uri: str = "") -> str:
    """A text without what stands before the `@` of any address in it, nor the password of `uri` elsewhere."""
    text = _USERINFO.sub(HIDDEN, text)
    found = _USERINFO.search(uri)
    password = found.group().removesuffix("@").partition(":")[2] if found else ""
    for secret in filter(None, {password, unquote(password)}):
        text = text.replace(secret, "***")
    return text


def require_answer(uri: str) -> None:
    """Ask a server or a database whether it is there; files are left to themselves. Raises
    TrackingUnreachable."""
    if uri.startswith(("http://", "https://")):
        _require_server(uri)
    elif "://" in uri and not uri.startswith(("sqlite:", "file:")):
        _require_database(uri)


def _require_server(uri: str) -> None:
    try:
        bare = _USERINFO.sub("", uri).rstrip("/")
        urllib.request.urlopen(f"{bare}/health", timeout=PATIENCE).close()  # noqa: S310
    except urllib.error.HTTPError:
        pass  # it answers
    except (OSError, ValueError) as fault:
        raise unreachable(uri, str(getattr(fault, "reason", fault))) from None


def _require_database(uri: str) -> None:
    """MLflow would try for a minute and a half, with a warning each time. What is no address of a database is
    left to it."""
    from sqlalchemy import NullPool, create_engine  # MLflow's own, with the driver that the address names
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        create_engine(uri, poolclass=NullPool).connect().close()
    except DBAPIError as fault:
        words = str(fault.orig).strip().splitlines()[0]
        raise TrackingUnreachable(
            f"the database {shown(uri)} does not let us in ({shown(words, uri)}): start it, or see to "
            "LAB_TRACKING."
        ) from None
    except (SQLAlchemyError, ImportError):
        pass


def unreachable(uri: str, words: str) -> TrackingUnreachable:
    """The one line for a server that does not answer."""
    return TrackingUnreachable(
        f"the tracking server {shown(uri)} does not answer ({shown(words, uri)}): start it with `lab ui`, or "
        "set LAB_TRACKING."
    )


def no_store(uri: str, words: str) -> TrackingUnreachable:
    """The one line for a record whose store of files does not take one."""
    return TrackingUnreachable(
        f"the artifact store of {shown(uri)} does not answer ({shown(words, uri)}): look at it; what it is "
        "to keep waits."
    )
