"""Somebody's picture, decoded to a frame of a modality, or refused before it is.

Axes: C channels, H rows, W columns.
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaitbench.errors import DatasetError
from gaitbench.hub.mapping import ColumnMapping
from gaitbench.modality import Modality

__all__ = ["PictureError", "decode_picture", "guess_modality", "is_plain_jpeg", "open_picture"]

_MOST_PIXELS = 2**26
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


class PictureError(Exception):
    """A picture that cannot be used."""


def guess_modality(picture: bytes, where: str) -> str:
    """What pictures show: colours are photographs, two grey values silhouettes; anything else must be said.

    Raises:
        DatasetError: It must be said, or the picture cannot be read; the message begins with ``where``.
    """
    try:
        with open_picture(picture) as image:
            if image.mode == "1":
                return "silhouette"
            if image.mode in ("RGB", "RGBA"):
                return "rgb"
            if image.mode == "L" and len(np.unique(_loaded(image))) <= 2:
                return "silhouette"
            mode = image.mode
    except PictureError as error:
        raise DatasetError(f"{where}: the first picture: {error}") from error
    raise DatasetError(
        f"{where}: the first picture is grey or has a palette (mode {mode}); say what the pictures show: "
        "--option modality=silhouette, depth or parsing"
    )


def open_picture(picture: bytes) -> Any:
    """Read the header of a picture.

    Raises:
        PictureError: It is no picture, broken, or too large to be decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(picture), formats=_FORMATS)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"no {', '.join(_FORMATS)} file, or a broken one") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("a picture is too large to be decoded") from error
    if image.width * image.height > _MOST_PIXELS:
        raise PictureError(f"a picture has {image.width} x {image.height} pixels, which is too large to be decoded")
    return image


def _loaded(image: Any) -> NDArray[np.generic]:
    try:
        return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"a picture is truncated or altered ({error})") from error


def is_plain_jpeg(picture: bytes, shape: tuple[int, ...]) -> bool:
    """Tell whether a picture is a JPEG file that can be stored as it is, for frames of ``shape`` ``(C, H, W)``."""
    with open_picture(picture) as image:
        bands = {1: "L", 3: "RGB"}.get(shape[0])
        return image.format == "JPEG" and image.mode == bands and (image.height, image.width) == shape[1:]


def decode_picture(
    picture: bytes, modality: Modality, shape: tuple[int, ...], mapping: ColumnMapping
) -> NDArray[np.generic]:
    """Decode a picture.

    Args:
        picture: The file.
        modality: What it shows.
        shape: ``(C, H, W)`` of the stream.
        mapping: Whether it is scaled, and what is part of a silhouette.

    Returns:
        ``[C, H, W]`` in the modality's dtype.

    Raises:
        PictureError: It is no picture, broken, too large, of another size, or cannot be one of this modality.
    """
    from PIL import Image

    with open_picture(picture) as opened:
        image = opened
        if (image.height, image.width) != shape[1:] and mapping.size_px is None:
            raise PictureError(
                f"a picture has {image.height} x {image.width} pixels, the first one {shape[1]} x {shape[2]}; scale "
                f"all of them: --option size_px=[{shape[1]},{shape[2]}]"
            )
        try:
            if modality.channels == 3:
                image = image.convert("RGB")
            elif modality.channels == 1 and modality.dtype == "uint8" and image.mode not in ("1", "L", "P"):
                if modality.unit == "class" or image.mode.startswith("I"):
                    raise PictureError(f"a picture has mode {image.mode}, {modality.name} needs 8 bits of one channel")
                image = image.convert("L")
            elif modality.channels == 1 and image.mode == "P" and modality.unit != "class":
                image = image.convert("L")
            if (image.height, image.width) != shape[1:]:
                is_smooth = modality.unit != "class" and modality.dtype == "uint8" and image.mode not in ("1", "P")
                how = Image.Resampling.BILINEAR if is_smooth else Image.Resampling.NEAREST
                image = image.resize((shape[2], shape[1]), how)
        except (OSError, SyntaxError, ValueError) as error:
            raise PictureError(f"a picture is truncated or altered ({error})") from error
        pixels = _loaded(image)
    if modality.channels == 3:
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if pixels.ndim != 2:
        raise PictureError(f"a picture has {pixels.shape[-1]} channels, {modality.name} has {modality.channels}")
    low, high = int(pixels.min()), int(pixels.max())
    if modality.codec == "bits":
        mask = pixels if high <= 1 else np.greater_equal(pixels, mapping.threshold)
        return mask.astype(np.uint8)[None]
    if low < 0 or high > np.iinfo(modality.dtype).max:
        raise PictureError(f"a picture has values outside {modality.dtype}")
    return pixels.astype(modality.dtype)[None]
