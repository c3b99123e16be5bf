"""Accuracy and cost that others published for ImageNet, each with its source.

`published_imagenet.csv` has one row for each number as it was printed. Costs are printed values
too: slim's README prints those of V1 0.75 (317 to 104 million multiply-adds) and of V1 0.25 at 192
pixels (34) up to 13 % away from what the architecture has (325 to 107, and 30).
"""

import csv
import dataclasses
import functools
import importlib.resources

# Two sources have all widths and resolutions of a family: the README files of slim's checkpoints.
SLIM_V1 = "tensorflow/models research/slim/nets/mobilenet_v1.md@02c04f4 (checkpoints 2018_02_22)"
SLIM_V2 = "tensorflow/models research/slim/nets/mobilenet/README.md@0ba83cf"
V2_TABLE_4 = "arXiv 1801.04381 Table 4"

# Looked for and not printed.
_MISSING = "not found"


@dataclasses.dataclass(frozen=True)
class Published:
    """One row; what the source does not print is None."""

    family: str  # v1, v2, or the name of another network
    width: str  # a number for v1 and v2; other networks have names of their own, such as x2
    resolution: int | None  # pixels
    params_millions: float | None
    madds_millions: float | None
    top1: float | None  # percent
    top5: float | None  # percent
    source: str


@functools.cache
def read_published() -> tuple[Published, ...]:
    """Returns all rows, in the file's order."""
    path = importlib.resources.files("mobilenet.papers") / "published_imagenet.csv"
    with path.open(encoding="utf-8") as file:
        return tuple(
            Published(
                family=row["family"],
                width=row["width"],
                resolution=None if row["resolution"] == _MISSING else int(row["resolution"]),
                params_millions=_number(row["params_millions"]),
                madds_millions=_number(row["madds_millions"]),
                top1=_number(row["top1"]),
                top5=_number(row["top5"]),
                source=row["source"],
            )
            for row in csv.DictReader(file)
        )


def published_by(source: str) -> list[Published]:
    """Returns the rows of one source."""
    return [row for row in read_published() if row.source == source]


def _number(text: str) -> float | None:
    return None if text == _MISSING else float(text)
