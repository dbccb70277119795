"""Makes `digits-train.safetensors` and `digits-heldout.safetensors` from the handwritten digits that scikit-learn ships.

Run once, by hand, when the split is to be made anew: `python resources/practice/make_digits.py` (scikit-learn and numpy
installed). The split is the same on every run: of each digit's images in their original order, every fifth is held out.
"""

from pathlib import Path

import numpy
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
HELD_OUT_EVERY = 5


def main() -> None:
    """Write both files beside this script."""
    digits = load_digits()
    images = digits.data.astype(numpy.uint8)  # 8 x 8 pixels of 0 to 16, row by row
    labels = digits.target.astype(numpy.uint8)
    held_out = numpy.zeros(len(labels), dtype=bool)
    for digit in range(10):
        held_out[numpy.flatnonzero(labels == digit)[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]] = True
    for name, chosen in (("train", ~held_out), ("heldout", held_out)):
        tensors = {"images": images[chosen], "labels": labels[chosen]}
        save_file({key: numpy.ascontiguousarray(value) for key, value in tensors.items()}, HERE / f"digits-{name}.safetensors")


if __name__ == "__main__":
    main()
