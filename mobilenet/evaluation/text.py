"""What an evaluation found, in words and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from mobilenet.runtime.formatting import describe_name, format_table

# Rows of a table that are printed: 1000 classes can be taken for each other in a million ways.
_MOST_ROWS = {"confusions": 20}


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Returns metrics and the number of images, such as `top-1 71.88%  loss 1.1482  10 images`.

    What else is in `metrics` than floats and numbers of images is left out.
    """
    words = [
        f"{describe_name(name)} {_format(name, value)}"
        for name, value in metrics.items()
        if isinstance(value, float) and name not in ("seconds", "images_per_second")
    ]
    unlabelled = metrics.get("unlabelled_images", 0)
    left_out = f" ({unlabelled:,} without a label left out)" if unlabelled else ""
    return "  ".join([*words, f"{metrics['num_images']:,} images{left_out}"])


def format_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]], best: str) -> str:
    """Returns the tables of `Task.summarize`; one that has the score begins with the worst."""
    texts = []
    for name, rows in tables.items():
        if rows and best in rows[0]:
            rows = sorted(rows, key=lambda row: (row[best] is None, row[best]))
        shown = list(rows)[: _MOST_ROWS.get(name)]
        if shown:
            heading = [describe_name(column) for column in shown[0]]
            cells = [[_format(column, value) for column, value in row.items()] for row in shown]
            align = "".join("l" if isinstance(x, str) else "r" for x in shown[0].values())
            texts.append(f"{name}\n{format_table([heading, *cells], align)}")
    return "\n\n".join(texts)


def _format(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4f}" if "loss" in name else f"{value:.2%}"
    return f"{value:,}" if isinstance(value, int) else value
