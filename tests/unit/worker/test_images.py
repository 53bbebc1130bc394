"""Uploaded images: what comes out of good files, and that bad ones are refused unread."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from ipc.messages.errors import UndecodableMedia
from worker.images import MAX_PIXELS, decode

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(width: int = 64, height: int = 32) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def file(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG file that promises so many pixels and holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def refusal(data: bytes) -> UndecodableMedia:
    with pytest.raises(UndecodableMedia) as caught:
        decode(data, "image 2")
    return caught.value


def about(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 12 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_four_formats_are_read(kind: str) -> None:
    image = decode(file(picture(), kind))
    assert (image.mode, image.size) == ("RGB", (64, 32))
    assert about(image.getpixel((8, 16)), RED)
    assert about(image.getpixel((56, 16)), BLUE)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    made = Image.new(mode, (16, 16)) if mode == "I;16" else picture(16, 16).convert(mode)
    assert decode(file(made, kind)).mode == "RGB"


def test_transparent_parts_are_white() -> None:
    image = decode(file(Image.new("RGBA", (16, 16), (255, 0, 0, 0)), "PNG"))
    assert image.getpixel((8, 8)) == (255, 255, 255)


def test_a_photograph_is_turned_upright() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it
    image = decode(file(picture(), "JPEG", exif=tags, quality=95))
    assert image.size == (32, 64)
    assert about(image.getpixel((16, 8)), RED)
    assert about(image.getpixel((16, 56)), BLUE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_seen(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), BLUE)] * 3
    data = file(Image.new("RGB", (16, 16), RED), kind, save_all=True, append_images=frames)
    assert about(decode(data).getpixel((8, 8)), RED)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_large_image_is_scaled_down_and_keeps_its_shape(kind: str) -> None:
    image = decode(file(picture(800, 400), kind), max_pixels=20_000)
    assert image.size == (200, 100)
    assert about(image.getpixel((10, 50)), RED)


def test_a_small_image_stays_as_it_is() -> None:
    assert decode(file(picture(), "PNG")).tobytes() == picture().tobytes()


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"hello",
    "50000 x 50000": lambda: png_header(50_000, 50_000),
    "just over the limit": lambda: png_header(MAX_PIXELS // 1000 + 1, 1000),
    "1 x 1": lambda: file(Image.new("RGB", (1, 1)), "PNG"),
    "a thread": lambda: file(Image.new("RGB", (2000, 8)), "PNG"),
    "a header only": lambda: png_header(100, 100),
    "a cut PNG": lambda: file(picture(), "PNG")[:90],
    "a cut JPEG": lambda: file(picture(640, 480), "JPEG")[:2000],
    "a cut WEBP": lambda: file(picture(640, 480), "WEBP")[:200],
    "a BMP": lambda: file(picture(), "BMP"),
    "a TIFF": lambda: file(picture(), "TIFF"),
    "an icon": lambda: file(picture(), "ICO"),
    "a JPEG 2000": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64),
    "an SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"/>',
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n",
    "a PNG of JPEG bytes": lambda: b"\x89PNG\r\n\x1a\n" + file(picture(), "JPEG"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_by_its_place(name: str) -> None:
    error = refusal(BAD[name]())
    assert error.message.startswith("image 2 ")
    assert error.code == "undecodable_media"


def test_a_header_that_promises_too_much_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decoded)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    assert "40 million pixels" in refusal(png_header(8000, 5001)).message
