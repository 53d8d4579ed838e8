"""Signatures of bundles: Ed25519 over the bytes of the manifest, which has the SHA-256 of every other file.

What belongs here: reading keys in PEM, signing, verifying. What does not: digests of files (`guard/bundle.py`).

`openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in manifest.json -sigfile manifest.sig` says the same.
"""

from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE = "manifest.sig"
BYTES = 64
_MOST = 65_536  # bytes of a key's file
_NEW_KEY = "make one with `openssl genpkey -algorithm ed25519 -out guard.key`"
_PUBLIC_KEY = "`openssl pkey -in guard.key -pubout -out guard.pub` writes it"


class KeyUnusable(ValueError):
    """A file holds no key that signs or verifies bundles; the message names it and the fix."""


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key. Raises KeyUnusable."""
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise KeyUnusable(
            f"{path} is protected by a password; write it without one, and readable by you alone"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{path} is no private key in PEM; {_NEW_KEY}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} is no Ed25519 key; {_NEW_KEY}")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key. Raises KeyUnusable."""
    data = _read(path)
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{path} is no public key in PEM; {_PUBLIC_KEY}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{path} is no Ed25519 key; {_PUBLIC_KEY}")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise KeyUnusable(f"{path}: {error.strerror}") from None


def is_signed(manifest: bytes, signature: bytes, keys: Iterable[Ed25519PublicKey]) -> bool:
    """Return whether a signature of a manifest is one of these keys'.

    Args:
        manifest: The bytes of its file.
        signature: 64 bytes.
        keys: Of those who are trusted.
    """
    for key in keys:
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            continue
        return True
    return False
