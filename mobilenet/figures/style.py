"""How every figure looks, and how it becomes a file: the same numbers give the same bytes.

`matplotlib.figure.Figure` alone, without pyplot, so that nothing is left between two figures.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import textwrap
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

from mobilenet.errors import UserError, os_errors_explained

# The palette of Okabe and Ito ("Color Universal Design", 2008), told apart by every kind of sight.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, BLACK = "#E69F00", "#000000"
# What others published has hollow markers in this grey; nothing of ours is grey.
PUBLISHED = "#6B6B6B"

Dashes = str | tuple[float, tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of a line: each is enough alone, so that it reads in grey print."""

    color: str
    marker: str
    dashes: Dashes


# Of the two families, here and on the page of `report`: V1 is dashed with squares and V2 solid with
# circles, so that they differ without colours.
MARKS = {
    "mobilenet_v1": Look(BLUE, "s", "--"),
    "mobilenet_v2": Look(VERMILLION, "o", "-"),
}
LOOKS = (
    Look(BLUE, "o", "-"),
    Look(VERMILLION, "s", (0, (5, 2))),
    Look(GREEN, "^", (0, (6, 2, 1, 2))),
    Look(PURPLE, "D", (0, (1, 1))),
    Look(ORANGE, "v", (0, (8, 3))),
    Look(BLACK, "P", (0, (3, 1, 1, 1, 1, 1))),
)

# Hardware-independent: fonts come with matplotlib, and identifiers in SVG files from a fixed salt.
_SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.5,
    "errorbar.capsize": 2.5,
    "figure.titlesize": 11,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3.2,  # room for a whole dash
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,  # text stays text; publishers refuse type 3
    "savefig.dpi": 200,
    "svg.hashsalt": "mobilenet",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}

# By the ending of the file, what to leave out: dates and versions would change it every time.
_METADATA: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}

_Parameters = ParamSpec("_Parameters")


def styled(draw: Callable[_Parameters, Figure]) -> Callable[_Parameters, Figure]:
    """Makes a function draw in the house style, whatever matplotlib's settings are."""

    @functools.wraps(draw)
    def with_settings(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> Figure:
        with _house_style():
            return draw(*args, **kwargs)

    return with_settings


def new_figure(width: float, height: float, *, title: str, caption: str) -> Figure:
    """Returns an empty figure of a size in inches, with a title and the caption below."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title)
    # About 17 characters of the caption's size fill an inch.
    wrapped = textwrap.fill(caption, width=int(17 * width))
    figure.supxlabel(wrapped, fontsize=7.5, color="#444444", x=0.02, ha="left")
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure in the format of the file's ending, creating folders as needed.

    Raises:
      UserError: an unknown ending, or the file cannot be written.
    """
    path = pathlib.Path(path)
    kind = check_ending(path)
    with os_errors_explained(f"write {path}"), _house_style():
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=kind, metadata=_METADATA[kind])


def check_ending(path: str | os.PathLike[str]) -> str:
    """Returns the format that a file's ending names. Raises UserError for an unknown one."""
    ending = pathlib.Path(path).suffix.lower().removeprefix(".")
    if ending not in _METADATA:
        raise UserError(
            f"--out={os.fspath(path)} must end in {', '.join(f'.{kind}' for kind in _METADATA)}."
        )
    return ending


def _house_style() -> contextlib.AbstractContextManager[None]:
    # From matplotlib's own defaults, not from the user's matplotlibrc; the backend is not ours.
    defaults = mpl.rcParamsDefault
    settings: Any = {name: defaults[name] for name in defaults if name != "backend"}
    return mpl.rc_context(settings | _SETTINGS)
