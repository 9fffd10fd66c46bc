"""Certificates for Dask's own TLS: one authority for a laboratory, one certificate for each of its machines.

Whoever shows a certificate of the authority is let in, and whoever is not does not get as far as a first message. The
host's name is not checked (Dask's choice: workers come from where a cluster puts them).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robotps.errors import RobotpsError, require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate
    from distributed import Security

AUTHORITY, AUTHORITY_KEY = "authority.pem", "authority-key.pem"
CERTIFICATE, KEY = "certificate.pem", "key.pem"
_AUTHORITY_DAYS = 3650
_CLOCKS_DIFFER = timedelta(hours=1)
_LONGEST_NAME = 64
"""Characters of a common name (X.520)."""


def make_certificates(folder: Path, machines: Sequence[str], days: int) -> list[Path]:
    """A folder for each machine, to be copied there and nowhere else; the authority is made at the first call.

    `folder` holds the authority's key and stays where it is. Raises RobotpsError where a machine has one already.
    """
    require("cryptography", "cluster")
    for machine in machines:
        if not 0 < len(machine) <= _LONGEST_NAME or machine != Path(machine).name or machine.startswith("."):
            raise RobotpsError(
                f"'{machine}' cannot be the name of a machine's folder: use letters, digits, - and _, at most "
                f"{_LONGEST_NAME} of them"
            )
        if (folder / machine).exists():
            raise RobotpsError(f"{folder / machine}: there is a certificate already: remove it to make another")
    try:
        authority, key = _authority(folder)
        left = (authority.not_valid_after_utc - datetime.now(timezone.utc)).days
        if days > left:
            raise RobotpsError(f"--days {days}: the authority of {folder} itself is good for {left} days more")
        made = []
        for machine in machines:
            place = folder / machine
            place.mkdir(mode=0o700)
            own = _new_key()
            _write(place / CERTIFICATE, _pem(_certificate(machine, own, authority, key, days)))
            _write(place / KEY, _key_pem(own), secret=True)
            _write(place / AUTHORITY, _pem(authority))
            made.append(place)
    except OSError as error:
        raise RobotpsError(f"{error.filename or folder}: {error.strerror}") from None
    return made


def security(folder: Path) -> Security:
    """What Dask needs to speak TLS only, from a machine's folder; raises RobotpsError where something is amiss."""
    require("distributed", "cluster")
    from distributed import Security

    for name in (AUTHORITY, CERTIFICATE, KEY):
        if not (folder / name).is_file():
            raise RobotpsError(f"{folder}: there is no {name} here: robotps certificates makes such folders")
    if (folder / KEY).stat().st_mode & 0o077:
        raise RobotpsError(f"{folder / KEY}: other users can read this key: chmod 600 it")
    _check_date(folder / CERTIFICATE)
    roles: dict[str, Any] = {}
    for role in ("client", "scheduler", "worker"):
        roles[f"tls_{role}_cert"], roles[f"tls_{role}_key"] = str(folder / CERTIFICATE), str(folder / KEY)
    return Security(require_encryption=True, tls_ca_file=str(folder / AUTHORITY), **roles)


def _check_date(file: Path) -> None:
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as error:
        raise RobotpsError(f"{file}: this is not a certificate: {error}") from None
    if certificate.not_valid_after_utc < datetime.now(timezone.utc):
        raise RobotpsError(f"{file}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}: make a new one")


def _authority(folder: Path) -> tuple[Certificate, EllipticCurvePrivateKey]:
    """The authority of a folder and its key, made where there is none."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / AUTHORITY).exists():
        key = _new_key()
        _write(folder / AUTHORITY_KEY, _key_pem(key), secret=True)
        _write(folder / AUTHORITY, _pem(_certificate("robotps authority", key, None, key, _AUTHORITY_DAYS)))
    try:
        loaded = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
    except ValueError as error:
        raise RobotpsError(f"{folder}: the authority cannot be read: {error}") from None
    if not isinstance(loaded, EllipticCurvePrivateKey):
        raise RobotpsError(f"{folder / AUTHORITY_KEY}: not a key that robotps made")
    return certificate, loaded


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _certificate(
    name: str, key: EllipticCurvePrivateKey, issuer: Certificate | None, issuer_key: EllipticCurvePrivateKey, days: int
) -> Certificate:
    """A certificate of `key` under `name`, signed by an issuer (None: by itself, an authority)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.now(timezone.utc) - _CLOCKS_DIFFER
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    usage.update(dict.fromkeys(("key_cert_sign", "crl_sign") if issuer is None else ("digital_signature",), True))
    builder = builder.add_extension(x509.KeyUsage(**usage), True)
    if issuer is not None:
        # every machine may connect and be connected to: workers also speak to each other
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, data: bytes, secret: bool = False) -> None:
    """A new file, readable by nobody else from its first byte on where it is secret."""
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644), "wb") as out:
        out.write(data)
