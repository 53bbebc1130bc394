"""A form with a file, as RFC 7578 has it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from frontend.in_process import Field


def form(fields: Mapping[str, str], filename: str, content: bytes) -> tuple[Field, bytes]:
    """Its content type, and its body: ``fields``, and ``content`` as what is called ``file``. A
    ``filename`` has no quotes."""
    boundary = secrets.token_hex(16)
    parts = [_part(boundary, f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts.append(_part(boundary, f'name="file"; filename="{filename}"', content))
    kind = f"multipart/form-data; boundary={boundary}".encode("ascii")
    return (b"content-type", kind), b"".join([*parts, f"--{boundary}--\r\n".encode("ascii")])


def _part(boundary: str, what: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\ncontent-disposition: form-data; {what}\r\n\r\n"
    return b"".join([head.encode(), content, b"\r\n"])
