"""Pictures with C2PA manifests, made by the library itself and signed by people of our own.

What belongs here: certificates, and signing. What does not: reading manifests (`transforms/pictures/rights/`).
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PEM = serialization.Encoding.PEM
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@dataclass(frozen=True)
class Authority:
    """Somebody who vouches for one signer.

    Attributes:
        name: What the certificates say.
    """

    name: str

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def _certificate(self) -> x509.Certificate:
        return _certificate(self.name, self._key, self._key, self.name, of_authority=True)

    @property
    def anchor(self) -> str:
        """Its certificate."""
        return self._certificate.public_bytes(_PEM).decode()

    @cached_property
    def _signer(self) -> c2pa.C2paSignerInfo:
        key = ec.generate_private_key(ec.SECP256R1())
        own = _certificate(f"signer of {self.name}", key, self._key, self.name, of_authority=False)
        secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return c2pa.C2paSignerInfo(b"es256", own.public_bytes(_PEM) + self.anchor.encode(), secret, None)

    def signed(self, data: bytes, mime: str, uses: Mapping[str, str]) -> bytes:
        """Return a picture with a manifest that says what may be done with it.

        Args:
            data: The picture.
            mime: Its type.
            uses: What is allowed, by use.
        """
        actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": TRAINED}]}
        mining = {"entries": {use: {"use": allowed} for use, allowed in uses.items()}}
        said = {
            "claim_generator_info": [{"name": "a test", "version": "1"}],
            "assertions": [
                {"label": "c2pa.actions", "data": actions},
                {"label": "cawg.training-mining", "data": mining},
            ],
        }
        out = io.BytesIO()
        context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        builder = c2pa.Builder.from_json(json.dumps(said), context=context)
        builder.sign(c2pa.Signer.from_info(self._signer), mime, io.BytesIO(data), out)
        return out.getvalue()


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuing: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    of_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    may = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    may |= {"encipher_only": False, "decipher_only": False, "digital_signature": True}
    usage = x509.KeyUsage(**may, key_cert_sign=of_authority, crl_sign=of_authority)
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=of_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.public_key()), critical=False)
    )
    if not of_authority:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return made.sign(issuing, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "T")]
    )
