"""Signatures of bundles, over the bytes of the manifest, which has the SHA-256 of every other file.

What belongs here: reading keys, signing, verifying. What does not: digests of files (`guard/bundle.py`).

A key is Ed25519 in PEM, and its signature `manifest.sig`; `openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in
manifest.json -sigfile manifest.sig` says the same. Or it is one of minisign, and its signature is
`manifest.json.minisig`; so does `minisign -V -p KEY.pub -m manifest.json`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from transforms.packages import installing

if TYPE_CHECKING:
    import minisign

SIGNATURE, MINISIGNATURE = "manifest.sig", "manifest.json.minisig"
BYTES, _MINISIGNATURE_BYTES = 64, 4096
_MOST = 65_536  # bytes of a key's file
_MINISIGN = b"untrusted comment:"  # how its keys begin
_NEW_KEY = "make one with `openssl genpkey -algorithm ed25519 -out guard.key`, or `minisign -G -W`"
_PUBLIC_KEY = "`openssl pkey -in guard.key -pubout -out guard.pub` writes it"


class KeyUnusable(ValueError):
    """A file holds no key that signs or verifies bundles; the message names it and the fix."""


@dataclass(frozen=True)
class SigningKey:
    """A private key.

    Attributes:
        file: Name of the file of its signature, beside the manifest.
        sign: Returns the signature of a manifest.
    """

    file: str
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True)
class TrustedKey:
    """A public key.

    Attributes:
        file: Name of the file of its signature, beside the manifest.
        most: Bytes that a signature has at most.
        verifies: Whether it made a signature, the second argument, of a manifest, the first.
    """

    file: str
    most: int
    verifies: Callable[[bytes, bytes], bool]


def private_key(path: Path) -> SigningKey:
    """Read a private key. Raises KeyUnusable."""
    data = _read(path)
    protected = f"{path} is protected by a password; write it without one, and readable by you alone"
    if data.startswith(_MINISIGN):
        own = _minisign(path)
        try:
            secret = own.SecretKey.from_bytes(data)
        except own.Error:
            raise KeyUnusable(f"{path} is no secret key of minisign; {_NEW_KEY}") from None
        if secret.is_encrypted():
            raise KeyUnusable(protected)
        return SigningKey(MINISIGNATURE, lambda manifest: bytes(secret.sign(manifest)) + b"\n")
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise KeyUnusable(protected) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{path} is no private key in PEM; {_NEW_KEY}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} is no Ed25519 key; {_NEW_KEY}")
    return SigningKey(SIGNATURE, key.sign)


def public_key(path: Path) -> TrustedKey:
    """Read a public key. Raises KeyUnusable."""
    data = _read(path)
    if data.startswith(_MINISIGN):
        return _minisign_key(path, data)
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{path} is no public key in PEM; {_PUBLIC_KEY}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{path} is no Ed25519 key; {_PUBLIC_KEY}")

    def verifies(manifest: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            return False
        return True

    return TrustedKey(SIGNATURE, BYTES, verifies)


def _minisign_key(path: Path, data: bytes) -> TrustedKey:
    own = _minisign(path)
    try:
        key = own.PublicKey.from_bytes(data)
    except own.Error:
        raise KeyUnusable(f"{path} is no public key of minisign; {_NEW_KEY}") from None

    def verifies(manifest: bytes, signature: bytes) -> bool:
        try:
            key.verify(manifest, own.Signature.from_bytes(signature))
        except (own.Error, ValueError):
            return False
        return True

    return TrustedKey(MINISIGNATURE, _MINISIGNATURE_BYTES, verifies)


def _minisign(path: Path) -> "type[minisign]":
    try:
        import minisign
    except ImportError:
        raise KeyUnusable(f"{path} is a key of minisign, which is not installed; run `{installing('serve')}`") from None
    return minisign


def is_signed(manifest: bytes, read: Callable[[str, int], bytes], keys: Iterable[TrustedKey]) -> bool:
    """Return whether one of these keys signed a manifest. Raises the first OSError if no signature can be read.

    Args:
        manifest: The bytes of its file.
        read: Returns the bytes of a file beside it; takes its name, and how many bytes it may have.
        keys: Of those who are trusted.
    """
    missing: OSError | None = None
    found = False
    for key in keys:
        try:
            signature = read(key.file, key.most)
        except OSError as error:
            missing = missing or error
            continue
        found = True
        if key.verifies(manifest, signature):
            return True
    if not found and missing is not None:
        raise missing
    return False


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise KeyUnusable(f"{path}: {error.strerror}") from None
