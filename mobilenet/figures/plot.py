"""Figures by name, and which flags of scripts/plot.py each of them reads."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from mobilenet.errors import UserError
from mobilenet.figures import (
    ablations,
    cost_breakdown,
    expansion,
    memory,
    relu_embedding,
    tradeoff,
)
from mobilenet.figures.style import check_ending, save_figure
from mobilenet.runs.finished import read_runs


def _of_runs(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    def read_and_draw(runs: Sequence[str], **options: Any) -> Figure:
        return draw(read_runs(runs), **options)

    return read_and_draw


def _activations(runs: Sequence[str], **options: Any) -> Figure:
    if len(runs) != 1:
        raise UserError(f"--runs names {len(runs)} paths: activations draws one run directory.")
    # No other figure needs all that training imports.
    from mobilenet.figures import activation_patterns

    return activation_patterns.draw(runs[0], **options)


# The function that draws each figure, and the flags that it reads.
FIGURES: dict[str, tuple[Callable[..., Figure], tuple[str, ...]]] = {
    "tradeoff": (_of_runs(tradeoff.draw), ("runs", "x", "published")),
    "bottleneck": (_of_runs(ablations.draw_bottleneck), ("runs",)),
    "shortcut": (_of_runs(ablations.draw_shortcut), ("runs",)),
    "expansion": (_of_runs(expansion.draw), ("runs",)),
    "relu_embedding": (relu_embedding.draw, ("seed",)),
    "activations": (_activations, ("runs", "num_images", "data_dir")),
    "memory": (memory.draw, ()),
    "cost_breakdown": (cost_breakdown.draw, ()),
}


def plot(
    names: Sequence[str],
    out: str | os.PathLike[str] | None,
    options: Mapping[str, Any],
    given: Sequence[str],
) -> None:
    """Draws one figure to a file.

    Args:
      names: the positional arguments, which must be the name of one figure.
      out: the file, whose ending is its format.
      options: value of every flag that a figure may read.
      given: the names of those that the user set.

    Raises:
      UserError: no such figure or ending, a flag that the figure does not read, no runs, or runs
        that do not fit.
    """
    if len(names) != 1 or names[0] not in FIGURES:
        raise UserError(
            f"Name one figure first, {', '.join(FIGURES)}, not {' '.join(names) or 'nothing'}."
        )
    (name,) = names
    draw, wanted = FIGURES[name]
    for flag in given:
        if flag not in wanted:
            raise UserError(f"--{flag} means nothing to {name}: leave it out.")
    if out is None:
        raise UserError("--out is missing: name a file that ends in .png, .svg or .pdf.")
    check_ending(out)
    if "runs" in wanted and not options["runs"]:
        raise UserError(
            f"--runs is missing: {name} needs run directories, folders of them, or .jsonl files."
        )
    save_figure(draw(**{flag: options[flag] for flag in wanted}), out)
