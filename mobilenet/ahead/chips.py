"""What a TPU chip can do, and the slices that it comes in, from Google's documentation."""

import dataclasses

# In slices of two axes: the tables "Supported configurations" of the v5e and v6e pages.
_PLANES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
# In slices of three axes: axes in order of length, all of at most 4 or all multiples of 4
# (cloud.google.com/tpu/docs/types-topologies). Longer ones than these exist as well.
_SOLIDS = (
    *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8"),
    *("4x8x8", "8x8x8", "8x8x16", "8x16x16"),
)


@dataclasses.dataclass(frozen=True)
class Chip:
    """One TPU chip, which is one JAX device.

    Attributes:
      hbm: capacity of the memory, bytes.
      bandwidth: of the memory, bytes/s.
      peak: bfloat16 floating-point operations/s of the matrix units.
      source: the page that gives the three.
      topologies: of its slices.
      layout: libtpu's name for how the cores of a chip work together.
    """

    hbm: float
    bandwidth: float
    peak: float
    source: str
    topologies: tuple[str, ...]
    layout: str = "default"


CHIPS = {
    # Two cores, which XLA programs as one where the layout is "megacore".
    "v4": Chip(
        32 * 2**30, 1200e9, 275e12, "https://cloud.google.com/tpu/docs/v4", _SOLIDS, "megacore"
    ),
    "v5e": Chip(16e9, 819e9, 197e12, "https://cloud.google.com/tpu/docs/v5e", _PLANES),
    "v5p": Chip(95e9, 2765e9, 459e12, "https://cloud.google.com/tpu/docs/v5p", _SOLIDS),
    "v6e": Chip(32e9, 1600e9, 918e12, "https://cloud.google.com/tpu/docs/v6e", _PLANES),
}
