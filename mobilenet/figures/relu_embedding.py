"""V2 figure 1: a spiral through random ReLU embeddings; and how much of a volume ReLU keeps."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from mobilenet.figures.style import LOOKS, PUBLISHED, new_figure, styled

# V2 figure 1.
EMBEDDINGS = (2, 3, 5, 15, 30)

# The inputs whose kept volume is drawn: the spiral's 2 dimensions and wider ones, towards the 16
# channels of the narrowest bottleneck of V2 table 2.
_INPUTS = (2, 4, 16)
_EXPANSIONS = (1, 1.5, 2, 3, 4, 5, 6)
_SAMPLES = 2000
_TURNS = 2.5


@dataclasses.dataclass(frozen=True)
class Kept:
    """How much of an n-dimensional volume ReLU(Bx) keeps, B being m x n, as shares of 1."""

    inputs: int  # n
    outputs: int  # m
    theorem: float
    measured: float


def spiral(points: int = 600) -> Float[np.ndarray, "points 2"]:
    """Returns a spiral in the plane from the origin to radius 1."""
    along = np.linspace(0.0, 1.0, points)
    angle = 2 * np.pi * _TURNS * along
    return along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def embed_and_project(
    x: Float[np.ndarray, "points n"], outputs: int, seed: int
) -> Float[np.ndarray, "points n"]:
    """Returns T^-1 ReLU(T x): T is a random normal matrix, T^-1 its generalised inverse."""
    matrix = np.random.default_rng((seed, outputs)).normal(size=(outputs, x.shape[1]))
    return np.maximum(x @ matrix.T, 0) @ np.linalg.pinv(matrix).T


def kept_share(inputs: int, outputs: int) -> float:
    """Returns the mean share of an n-dimensional volume that ReLU(Bx) does not collapse.

    V2 appendix A, theorem 1: of a volume V, V - N V / 2^m is collapsed to a lower dimension, with
    N the sum over k = 0 .. m - n of C(m, k), for every distribution of the m x n matrix B that
    changing the signs of rows leaves as it is. (The text there calls N / 2^m the collapsed share;
    by the theorem's own formula it is the kept one.)

    Args:
      inputs: n.
      outputs: m, at least n.
    """
    return sum(math.comb(outputs, k) for k in range(outputs - inputs + 1)) / 2**outputs


def kept_share_bound(inputs: int, outputs: int) -> float:
    """Returns the lower bound 1 - m^(n + 1) / (2^m n!) of `kept_share` (V2 appendix A, theorem 1).

    Below zero it says nothing.
    """
    return 1 - outputs ** (inputs + 1) / (2**outputs * math.factorial(inputs))


def measure_kept_share(inputs: int, outputs: int, samples: int, seed: int) -> float:
    """Returns how often a random x can be recovered from ReLU(Bx), by sampling B and x.

    By lemma 2 (V2 appendix A) it can if n linearly independent rows of B have positive outputs, so
    the rank of those rows is what is counted.
    """
    rng = np.random.default_rng((seed, inputs, outputs))
    matrices = rng.normal(size=(samples, outputs, inputs))
    x = rng.normal(size=(samples, inputs))
    positive = np.einsum("smn,sn->sm", matrices, x) > 0
    return float((np.linalg.matrix_rank(matrices * positive[..., None]) == inputs).mean())


def kept_shares(
    inputs: Sequence[int] = _INPUTS, samples: int = _SAMPLES, seed: int = 0
) -> list[Kept]:
    """Returns formula and measurement for inputs of n dimensions at expansions from 1 to 6."""
    return [
        Kept(n, m, kept_share(n, m), measure_kept_share(n, m, samples, seed))
        for n in inputs
        for m in sorted({round(n * expansion) for expansion in _EXPANSIONS})
    ]


@styled
def draw(seed: int = 0) -> Figure:
    """Draws the spiral and its five projections, and below the kept share of a volume.

    Args:
      seed: of all random matrices and points.
    """
    figure = new_figure(
        8.4,
        5.0,
        title="ReLU embeddings (V2 figure 1 and appendix A)",
        caption="Top: a spiral x and its projections T⁻¹ ReLU(T x), T a random normal matrix to n "
        "dimensions, T⁻¹ its generalised inverse; the colour is the place along the spiral. "
        "Bottom: thick lines are theorem 1, dotted ones its lower bound, markers the share of "
        f"{_SAMPLES:,} random points that random matrices keep. Seed {seed}.",
    )
    # Two empty columns beside the lower panel would waste its width, so it spans all.
    grid = figure.add_gridspec(2, 1 + len(EMBEDDINGS), height_ratios=(1, 1.5))
    x = spiral()
    pictures = {"input": x}
    pictures |= {f"n = {n}": embed_and_project(x, n, seed) for n in EMBEDDINGS}
    for column, (title, values) in enumerate(pictures.items()):
        axis = figure.add_subplot(grid[0, column])
        axis.scatter(
            values[:, 0], values[:, 1], c=np.arange(len(values)), cmap="viridis", s=2, linewidths=0
        )
        axis.set(title=title, xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axis.spines[:].set_visible(False)
    axis = figure.add_subplot(grid[1, :])
    shares = kept_shares(seed=seed)
    for n, look in zip(_INPUTS, LOOKS, strict=False):
        own = [kept for kept in shares if kept.inputs == n]
        outputs = range(n, 6 * n + 1)
        axis.plot(
            [m / n for m in outputs],
            [100 * kept_share(n, m) for m in outputs],
            color=look.color,
            linestyle=look.dashes,
        )
        axis.plot(
            [m / n for m in outputs],
            [100 * kept_share_bound(n, m) for m in outputs],
            color=look.color,
            linestyle=":",
            linewidth=0.9,
        )
        axis.plot(
            [kept.outputs / n for kept in own],
            [100 * kept.measured for kept in own],
            color=look.color,
            linestyle="",
            marker=look.marker,
        )
        drawn: dict[str, Any] = {
            "color": look.color,
            "linestyle": look.dashes,
            "marker": look.marker,
        }
        axis.plot([], [], label=f"{n} dimensions", **drawn)
    axis.set_xlabel("Expansion: dimensions after T / before T")
    axis.set_ylabel("Volume kept (%)")
    axis.set_ylim(0, 105)
    axis.axvline(6, color=PUBLISHED, linewidth=0.8)
    axis.annotate("t = 6 (V2)", (6, 8), xytext=(-4, 0), textcoords="offset points", ha="right")
    axis.legend(loc="upper left", title="Input x")
    return figure
