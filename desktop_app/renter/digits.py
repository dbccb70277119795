"""Many rows to read for little storage: every digit we have, shifted by up to two pixels and in three strengths of ink.

The rows are made, not collected, and the practice network says so: 1,797 real images x 25 shifts x 3 inks. The renter makes
the file once and offers it to `infer.batch/1`. Called by the practice renter.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from desktop_app.wire import tensors
from desktop_app.wire.resources import resource

SIDE: Final = 8
LARGEST_SHIFT: Final = 2
INKS: Final = (16, 12, 8)  # sixteenths of the original

_PIXELS: Final = SIDE * SIDE
_SHIFTS: Final = range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)


def varied_digits() -> bytes:
    """A safetensors file with `images` uint8 [134775, 64], the same bytes on every call. Takes a tenth of a second."""
    images = b"".join(_images(resource(f"practice/digits-{part}.safetensors")) for part in ("train", "heldout"))
    shifted = b"".join(_shifts(images))
    rows = b"".join(shifted.translate(bytes(value * ink // 16 for value in range(256))) for ink in INKS)
    return tensors.pack({"images": ("U8", (len(rows) // _PIXELS, _PIXELS), rows)})


def _images(path: Path) -> bytes:
    with path.open("rb") as file:
        tensor = tensors.read_header(file, path.stat().st_size)["images"]
        file.seek(tensor.begin, 1)  # the header has just been read to its end
        return file.read(tensor.end - tensor.begin)


def _shifts(images: bytes) -> Iterator[bytes]:
    """Every image in every place, paper where it leaves."""
    for start in range(0, len(images), _PIXELS):
        image = images[start : start + _PIXELS]
        for across in _SHIFTS:
            moved = b"".join(_along(image[line : line + SIDE], across, 1) for line in range(0, _PIXELS, SIDE))
            for down in _SHIFTS:
                yield _along(moved, down, SIDE)


def _along(pixels: bytes, by: int, unit: int) -> bytes:
    """The pixels moved by `by` units to the right (down), as many as before."""
    gap = bytes(abs(by) * unit)
    return gap + pixels[: len(pixels) - len(gap)] if by >= 0 else pixels[len(gap) :] + gap
