"""Keys and certificates of a control plane.

Python 3.13 verifies with VERIFY_X509_STRICT: a CA needs a critical basic constraint, a key usage
and a subject key identifier. A certificate that it signs needs an authority key identifier.
"""

import dataclasses
import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

VALID_FOR = dt.timedelta(days=30)
CLOCK_SKEW = dt.timedelta(hours=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Files:
    """The paths of the PEM files."""

    ca: Path
    serving_certificate: Path
    serving_key: Path
    service_account_key: Path


def create(folder: Path) -> Files:
    """A CA, a certificate for 127.0.0.1 and localhost, and a key to sign tokens with."""
    ca_key, serving_key, token_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca = ca_certificate(ca_key)
    files = Files(
        ca=folder / "ca.crt",
        serving_certificate=folder / "serving.crt",
        serving_key=folder / "serving.key",
        service_account_key=folder / "service-accounts.key",
    )
    serving = serving_certificate(serving_key.public_key(), ca, ca_key)
    files.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    files.serving_certificate.write_bytes(serving.public_bytes(serialization.Encoding.PEM))
    write_key(files.serving_key, serving_key)
    write_key(files.service_account_key, token_key)
    return files


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def ca_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = common_name("control plane of a test")
    usage = key_usage(signs_certificates=True)
    return (
        builder(subject=name, issuer=name, key=key.public_key(), issuer_key=key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def serving_certificate(
    key: ec.EllipticCurvePublicKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")), x509.DNSName("localhost")]
    )
    server = x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH])
    subject = common_name("kube-apiserver")
    return (
        builder(subject=subject, issuer=ca.subject, key=key, issuer_key=ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(server, critical=False)
        .add_extension(names, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority, critical=False)
    )


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, name)])


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
