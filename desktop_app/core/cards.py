"""What graphics cards should be able to do, from their makers' data sheets: only to tell a plausible measurement from an odd one.

Nobody is filed under a tier by this table; `core.bench` compares what was measured of a card with what its name promises.
"""

from dataclasses import dataclass

_NOISE = ("NVIDIA ", "GEFORCE ", "TESLA ")


@dataclass(frozen=True, slots=True)
class Card:
    """Memory in GB and GB/s; TFLOPS (dense) in float32 and in the faster of float16 and bfloat16 on tensor cores, if any."""

    memory_gb: float
    gbps: float
    fp32: float
    half: float


def card_of(name: str) -> Card | None:
    """The card that the driver names so, or None when it is not in the table. A laptop's card is another than its namesake."""
    plain = " ".join(name.upper().split())
    for noise in _NOISE:
        plain = plain.removeprefix(noise)
    return _CARDS.get(plain)


_CARDS: dict[str, Card] = {
    "GTX 1080 TI": Card(11, 484, 11.3, 11.3),
    "P40": Card(24, 346, 11.8, 11.8),
    "V100-SXM2-16GB": Card(16, 900, 15.7, 125),
    "V100-SXM2-32GB": Card(32, 900, 15.7, 125),
    "V100-PCIE-16GB": Card(16, 900, 14.1, 112),
    "V100-PCIE-32GB": Card(32, 900, 14.1, 112),
    "RTX 2060": Card(6, 336, 6.5, 52),
    "RTX 2060 SUPER": Card(8, 448, 7.2, 57),
    "RTX 2070": Card(8, 448, 7.5, 60),
    "RTX 2070 SUPER": Card(8, 448, 9.1, 73),
    "RTX 2080": Card(8, 448, 10.1, 81),
    "RTX 2080 SUPER": Card(8, 496, 11.2, 89),
    "RTX 2080 TI": Card(11, 616, 13.4, 108),
    "RTX 3050": Card(8, 224, 9.1, 18),
    "RTX 3060": Card(12, 360, 12.7, 25),
    "RTX 3060 TI": Card(8, 448, 16.2, 32),
    "RTX 3070": Card(8, 448, 20.3, 41),
    "RTX 3070 TI": Card(8, 608, 21.7, 43),
    "RTX 3080": Card(10, 760, 29.8, 60),
    "RTX 3080 TI": Card(12, 912, 34.1, 68),
    "RTX 3090": Card(24, 936, 35.6, 71),
    "RTX 3090 TI": Card(24, 1010, 40, 80),
    "RTX 4060": Card(8, 272, 15.1, 30),
    "RTX 4060 TI": Card(8, 288, 22.1, 44),
    "RTX 4070": Card(12, 504, 29.1, 58),
    "RTX 4070 SUPER": Card(12, 504, 35.5, 71),
    "RTX 4070 TI": Card(12, 504, 40.1, 80),
    "RTX 4070 TI SUPER": Card(16, 672, 44, 88),
    "RTX 4080": Card(16, 717, 48.7, 97),
    "RTX 4080 SUPER": Card(16, 736, 52, 104),
    "RTX 4090": Card(24, 1010, 82.6, 165),
    "RTX 5060": Card(8, 448, 19.2, 38),
    "RTX 5060 TI": Card(16, 448, 23.7, 47),
    "RTX 5070": Card(12, 672, 30.9, 62),
    "RTX 5070 TI": Card(16, 896, 43.9, 88),
    "RTX 5080": Card(16, 960, 56.3, 113),
    "RTX 5090": Card(32, 1790, 104.8, 210),
    "RTX A4000": Card(16, 448, 19.2, 77),
    "RTX A5000": Card(24, 768, 27.8, 111),
    "RTX A6000": Card(48, 768, 38.7, 155),
    "RTX 4000 ADA GENERATION": Card(20, 360, 26.7, 107),
    "RTX 6000 ADA GENERATION": Card(48, 960, 91.1, 364),
    "QUADRO RTX 8000": Card(48, 672, 16.3, 130),
    "T4": Card(16, 320, 8.1, 65),
    "L4": Card(24, 300, 30.3, 121),
    "A10": Card(24, 600, 31.2, 125),
    "A10G": Card(24, 600, 31.5, 125),
    "A40": Card(48, 696, 37.4, 150),
    "L40": Card(48, 864, 90.5, 181),
    "L40S": Card(48, 864, 91.6, 362),
    "A100-SXM4-40GB": Card(40, 1560, 19.5, 312),
    "A100-PCIE-40GB": Card(40, 1560, 19.5, 312),
    "A100-SXM4-80GB": Card(80, 2040, 19.5, 312),
    "A100 80GB PCIE": Card(80, 1940, 19.5, 312),
    "H100 PCIE": Card(80, 2040, 51, 756),
    "H100 80GB HBM3": Card(80, 3360, 67, 989),
    "H100 NVL": Card(94, 3940, 60, 835),
    "H200": Card(141, 4890, 67, 989),
    "H200 NVL": Card(141, 4890, 60, 835),
    "B200": Card(180, 8000, 75, 2250),
}
