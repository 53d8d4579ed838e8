"""Object stores (`s3://`, `gs://`, `hf://`): their clients, and the meaning of their errors.

What belongs here: one client a store, with short timeouts and few attempts, and errors that name the path and the fix.
What does not: finding and reading files (`storage/stores.py`). Credentials, endpoints and regions come from the
environment, as the stores' own tools read them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

import pyarrow.fs
from fsspec import AbstractFileSystem
from fsspec.implementations.arrow import ArrowFSWrapper

from transforms.readable import first_line

_CONNECT_S, _REQUEST_S, _ATTEMPTS = 5, 30, 2


class StoreError(OSError):
    """A path cannot be read; the message names it and the fix."""


def is_remote(path: str) -> bool:
    """Return whether a path is in a store rather than on disk."""
    return "://" in path


def filesystem(path: str) -> tuple[AbstractFileSystem, str]:
    """Return the store of a path, and the path within it. Raises StoreError for an unknown store."""
    scheme, _, inner = path.partition("://")
    if scheme == "s3":
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        anonymous = os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in {"1", "true", "yes"}
        return _s3(inner.partition("/")[0], endpoint, region, anonymous), inner
    if scheme in {"gs", "gcs"}:
        return _gcs(), inner
    if scheme == "hf":
        from huggingface_hub import HfFileSystem  # late: it is slow to import, and few need it

        return HfFileSystem(skip_instance_cache=True), inner
    raise StoreError(f"{path}: unknown store {scheme}; use a path on disk, s3://, gs:// or hf://")


@cache
def _s3(bucket: str, endpoint: str | None, region: str | None, anonymous: bool) -> AbstractFileSystem:
    if not endpoint and not region:
        region = pyarrow.fs.resolve_s3_region(bucket)
    store = pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        anonymous=anonymous,
        connect_timeout=_CONNECT_S,
        request_timeout=_REQUEST_S,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )
    return ArrowFSWrapper(store, skip_instance_cache=True)


@cache
def _gcs() -> AbstractFileSystem:
    store = pyarrow.fs.GcsFileSystem(retry_time_limit=timedelta(seconds=_REQUEST_S / 2))
    return ArrowFSWrapper(store, skip_instance_cache=True)


_FIXES = {
    "s3": "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, or AWS_NO_SIGN_REQUEST=true for a public "
    "bucket; AWS_ENDPOINT_URL names a store other than Amazon's, AWS_REGION its region",
    "gs": "run `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS",
    "hf": "write hf://datasets/OWNER/NAME/FILE, and run `hf auth login` or set HF_TOKEN for a gated dataset; "
    "HF_ENDPOINT names a mirror",
}
_REASONS = (
    ("NO_SUCH_BUCKET", "there is no such bucket"),
    ("ACCESS_DENIED", "access is denied"),
    ("INVALID_ACCESS_KEY_ID", "the access key is unknown"),
    ("SIGNATURE_DOES_NOT_MATCH", "the secret key is wrong"),
    ("Could not resolve host", "there is no such host, or no network"),
    ("Name or service not known", "there is no such host, or no network"),
    ("OAuth2", "there are no credentials"),
    ("NETWORK_CONNECTION", "the store does not answer"),
)


def _raised_by(scheme: str) -> tuple[type[Exception], ...]:
    """Return the exceptions of a store's client besides OSError."""
    if scheme != "hf":
        return ()
    from huggingface_hub.errors import HfHubHTTPError  # late: slow to import

    # the errors of its HTTP library, whose name changes with its version, are this class's other parent
    return tuple(base for base in HfHubHTTPError.__bases__ if base is not OSError and issubclass(base, Exception))


_OUTAGES = ("AWS Error", "google::cloud")


@contextmanager
def explain_errors(path: str, *, outages_only: bool = False) -> Iterator[None]:
    """Convert the errors of a store into a StoreError that names the path and the fix. Local errors are unchanged.

    Args:
        path: What is read.
        outages_only: Convert only errors of the stores themselves, because the file may be broken.
    """
    if not is_remote(path):
        yield
        return
    scheme = "gs" if path.startswith("gcs://") else path.partition("://")[0]
    fix = _FIXES.get(scheme, "correct the path")
    let_through = _raised_by(scheme)
    caught: tuple[type[Exception], ...] = (OSError, ValueError, *let_through)
    try:
        yield
    except StoreError:
        raise
    except caught as error:
        text = str(error)
        if outages_only and not (isinstance(error, let_through) or any(mark in text for mark in _OUTAGES)):
            raise
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{path} does not exist; correct the path, or {fix}") from None
        reason = next((why for part, why in _REASONS if part in text), first_line(error)[:300])
        raise StoreError(f"{path} cannot be read: {reason}; {fix}") from None  # the command shows the innermost cause
