"""What is printed for people: tables, shares and durations."""

import re
from collections.abc import Iterable, Sequence


def format_table(rows: Iterable[Sequence[str]], align: str) -> str:
    """Returns a line for each row, with columns as wide as their widest cells.

    Args:
      rows: of cells, equally many; a heading is a row like any other.
      align: `l` or `r` for each column; the last letter holds for all further ones.
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = align.ljust(len(widths), align[-1])[: len(widths)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    )


def describe_name(name: str) -> str:
    """Returns the name of a metric as one writes it: `top1` is top-1."""
    return re.sub(r"^([a-z]+)(\d+)$", r"\1-\2", name).replace("_", " ")


def format_size(resolution: int | Sequence[int]) -> str:
    """Returns a resolution in pixels: `224` of a square, `256x512` of another height and width."""
    return str(resolution) if isinstance(resolution, int) else "x".join(map(str, resolution))


def format_percent(share: float | None) -> str:
    """Returns a share of 1 in percent, such as `71.83%`; nothing for None."""
    return "" if share is None else f"{share:.2%}"


def format_duration(seconds: float | None) -> str:
    """Returns two units, such as `2 d 03 h`, `3 h 07 min`, `12 s`; nothing for None."""
    if seconds is None:
        return ""
    total = round(seconds)
    for size, unit, smaller_size, smaller in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if total >= size:
            return f"{total // size} {unit} {total % size // smaller_size:02d} {smaller}"
    return f"{total} s"
