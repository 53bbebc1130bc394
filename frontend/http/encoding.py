"""How a body may be written: as it is, in UTF-8. What is not is named, not guessed at."""

from __future__ import annotations

import codecs
from collections.abc import Collection

from python_multipart.multipart import parse_options_header

from frontend.http.errors import shown
from ipc.messages.errors import InvalidRequest, UnsupportedMediaType

# Python's own table of codecs keeps each name that it is asked for, for ever.
_UTF8 = frozenset({b"", b"utf-8", b"utf8", b"us-ascii", b"ascii"})
_WIDE_BYTES = 64
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_plain(header: str, given: str, plain: Collection[str] = ("identity",)) -> None:
    """Raise `UnsupportedMediaType` where ``header`` says that the bytes have been encoded."""
    codings = [coding.strip() for coding in given.split(",")]
    for coding in codings:
        if coding and coding.lower() not in plain:
            raise UnsupportedMediaType(
                f"`{header}` {shown(coding)} is not supported; send the body as it is"
            )


def check_charset(content_type: str) -> None:
    """Raise `InvalidRequest` where another charset than UTF-8 is declared."""
    if "charset" not in content_type.lower():
        return
    _, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"")
    if charset.strip(b"'").lower() not in _UTF8:
        raise InvalidRequest(
            f"the charset {shown(charset.decode('latin-1'))} is not supported; send UTF-8"
        )


def check_utf8(raw: bytes | bytearray, what: str) -> None:
    """Raise `InvalidRequest` where ``what`` is no UTF-8. Only the place is told, not the bytes."""
    if raw.startswith(_UTF16):
        raise InvalidRequest(f"{what} is UTF-16; send UTF-8")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{what} is not valid UTF-8 at byte {error.start}") from None


def is_wide(raw: bytes | bytearray) -> bool:
    """Whether every other byte of the beginning is zero, as in Latin text of two bytes a letter,
    which is UTF-8 too. No JSON begins so, but a field of a form may hold any text."""
    start = raw[:_WIDE_BYTES]
    return len(start) > 1 and len(raw) % 2 == 0 and any(not any(start[at::2]) for at in (0, 1))
