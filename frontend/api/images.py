"""Images in a request: as data in their URL, or at an address that somebody has to fetch.

Only the first bytes are looked at here, to see what a file is; pixels are the worker's business.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

from ipc.messages.errors import InvalidRequest, UndecodableMedia, UnsupportedParameter
from ipc.messages.jobs import Image

MAX_IMAGES = 8
MAX_IMAGE_BYTES = 10 << 20


class Remote(NamedTuple):
    """An image at ``url``, named at ``path`` of the request. ``image`` is empty until fetched."""

    url: str
    path: str
    image: Image


def refuse_uncounted(remote: Sequence[Remote]) -> None:
    """Raise `UnsupportedParameter` where there are images that would have to be fetched only for
    their tokens."""
    if remote:
        raise UnsupportedParameter(
            "images are not fetched to count tokens; send them in the request", param="messages"
        )


def is_image(data: bytes) -> bool:
    """Whether ``data`` begins as PNG, JPEG, GIF and WEBP files do."""
    return data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")) or (
        data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    )


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def read_data_url(url: str, path: str) -> bytes:
    """The image file in the data URL ``url`` (RFC 2397). What type it declares does not matter.

    Raises `InvalidRequest` or `UndecodableMedia`, both naming ``path``.
    """
    head, comma, body = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise InvalidRequest(
            f"`{path}` must be a data URL in base64, as in 'data:image/png;base64,...'", param=path
        )
    if len(body) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise InvalidRequest(f"`{path}` is over the limit of {MAX_IMAGE_BYTES} bytes", param=path)
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"`{path}` is not valid base64", param=path) from None
    if not is_image(data):
        raise UndecodableMedia(f"`{path}` is not a PNG, JPEG, WEBP or GIF image", param=path)
    return data
