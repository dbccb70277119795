"""The five faces can be told apart without colour, at the size of a tray."""

from itertools import combinations

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from desktop_app.ui.icons import face_icon, face_pixmap
from desktop_app.ui.present import Look


def _shape(look: Look, size: int) -> list[bool]:
    """Which pixels are the face's own colour: neither see-through nor the white of a sign."""
    image = face_pixmap(look, size).toImage().convertToFormat(QImage.Format.Format_ARGB32)
    pixels = [image.pixelColor(x, y) for y in range(size) for x in range(size)]
    return [pixel.alpha() > 128 and min(pixel.red(), pixel.green(), pixel.blue()) < 200 for pixel in pixels]


@pytest.mark.parametrize("size", [16, 22, 32])
def test_every_two_faces_differ_in_shape(qapp: QApplication, size: int) -> None:
    for one, other in combinations(Look, 2):
        pairs = list(zip(_shape(one, size), _shape(other, size), strict=True))
        different = sum(a != b for a, b in pairs)
        assert different > 0.12 * size * size, f"{one} and {other} look alike"


def test_the_icon_has_what_trays_ask_for(qapp: QApplication) -> None:
    for look in Look:
        sizes = {size.width() for size in face_icon(look).availableSizes()}
        assert {16, 22, 24, 32, 48, 64} <= sizes
