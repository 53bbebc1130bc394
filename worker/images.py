"""Uploaded images to pixels: RGB, upright, of a bounded size. The file is hostile until it decoded.

What a file is, its bytes say. Pillow reads over 40 formats, some by old code or by programs of the
system: only the four below are tried. A file of 100 kB can announce gigabytes of pixels, so what
its header says is checked before anything is decoded; of an animation only the first frame is.
"""

from __future__ import annotations

import io
import math
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from ipc.engine_options import IMAGE_PIXELS
from ipc.messages.errors import UndecodableMedia

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 40_000_000
MIN_SIDE = 8
# Image processors that keep the shape refuse what is more than 200 times longer than wide, which
# rounding must not reach.
MAX_ASPECT = 100

Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def decode(data: bytes, which: str = "image 1", max_pixels: int = IMAGE_PIXELS) -> Image.Image:
    """The image in the file ``data``, scaled down to at most ``max_pixels``.

    Raises `UndecodableMedia`, whose message says ``which`` image cannot be used.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns between one and two times its limit, and of damaged metadata.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                _check_size(file.width, file.height, which)
                if file.format == "JPEG":
                    # Lets the decoder skip what would be scaled away; never below what is kept.
                    file.draft("RGB", _fit(file.width, file.height, max_pixels))
                file.load()
                ImageOps.exif_transpose(file, in_place=True)
                return _rgb(file, max_pixels)
    except Image.DecompressionBombError:
        raise _unusable(which, f"has more than {MAX_PIXELS // 10**6} million pixels") from None
    except UndecodableMedia:
        raise
    except UnidentifiedImageError:
        raise _unusable(which, "is not a PNG, JPEG, WEBP or GIF file") from None
    except MemoryError:
        raise _unusable(which, "takes more memory to read than there is") from None
    except Exception:  # Pillow's decoders raise what they come across, say SyntaxError
        raise _unusable(which, "is damaged or was cut off") from None


def _check_size(width: int, height: int, which: str) -> None:
    if width * height > MAX_PIXELS:
        raise _unusable(which, f"has more than {MAX_PIXELS // 10**6} million pixels")
    if min(width, height) < MIN_SIDE:
        raise _unusable(which, f"is less than {MIN_SIDE} pixels wide or high")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise _unusable(which, f"is more than {MAX_ASPECT} times longer than wide")


def _fit(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The size with at most about ``max_pixels`` and the same shape; unchanged where it fits."""
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrink(image: Image.Image, max_pixels: int) -> Image.Image:
    size = _fit(image.width, image.height, max_pixels)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _rgb(image: Image.Image, max_pixels: int) -> Image.Image:
    """Transparent parts over white, as people see them on a page."""
    if not image.has_transparency_data:
        return _shrink(image.convert("RGB"), max_pixels)
    layer = _shrink(image.convert("RGBA"), max_pixels)
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _unusable(which: str, why: str) -> UndecodableMedia:
    return UndecodableMedia(
        f"{which} {why}; send a whole PNG, JPEG, WEBP or GIF image of at most "
        f"{MAX_PIXELS // 10**6} million pixels",
        param="messages",
    )
