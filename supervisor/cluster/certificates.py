"""Who is in the cluster: an authority of its own, and a certificate for each box by it."""

from __future__ import annotations

import datetime
import ipaddress
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFE = datetime.timedelta(days=3650)
# Clocks of boxes differ.
_EARLIER = datetime.timedelta(days=1)
_NAME = "edge-serve cluster"


class Identity(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def authority() -> Identity:
    """One for a new cluster."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_named(_NAME), _named(_NAME), key)
    return _signed(builder.add_extension(x509.BasicConstraints(True, 0), True), key, key)


def issued(by: Identity, address: str) -> Identity:
    """One for the box at ``address``; its own processes meet by 127.0.0.1, too."""
    parent = x509.load_pem_x509_certificate(by.certificate)
    signer = serialization.load_pem_private_key(by.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in (address, "127.0.0.1")]
    builder = _builder(_named(address), parent.subject, key)
    builder = builder.add_extension(x509.BasicConstraints(False, None), True)
    return _signed(builder.add_extension(x509.SubjectAlternativeName(names), False), key, signer)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + LIFE)
    )


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> Identity:
    certificate = builder.sign(signer, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Identity(certificate.public_bytes(serialization.Encoding.PEM), secret)
