"""Who signed a certificate (X.509, in DER). The standard library reads only those that it trusts; this one must not be.

Nothing is verified here: it is for showing.
"""

from __future__ import annotations

from collections.abc import Iterator

_SEQUENCE, _SET, _VERSION = 0x30, 0x31, 0xA0
_NAME, _ORGANISATION = b"\x55\x04\x03", b"\x55\x04\x0a"  # 2.5.4.3 and 2.5.4.10


def issuer(der: bytes) -> str | None:
    """Organisation and name, as far as it has them; None for what is no certificate."""
    try:
        certificate = next(_parts(der))[1]
        signed = list(_parts(next(_parts(certificate))[1]))
        fields = signed[1:] if signed[0][0] == _VERSION else signed  # serial number, algorithm, issuer, …
        named = dict(_attributes(fields[2][1]))
    except (IndexError, StopIteration, ValueError):
        return None
    return ", ".join(named[key] for key in (_ORGANISATION, _NAME) if key in named) or None


def _attributes(name: bytes) -> Iterator[tuple[bytes, str]]:
    for tag, attributes in _parts(name):
        for inner, attribute in _parts(attributes) if tag == _SET else ():
            if inner == _SEQUENCE:
                (_, oid), (_, value) = _parts(attribute)
                yield oid, value.decode("utf-8", "replace")


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value in a row. Raises `IndexError` where it breaks off."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise IndexError
        yield tag, data[at : at + length]
        at += length
