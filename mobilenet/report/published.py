"""Published accuracies on ImageNet as the page shows them, each with its source."""

from typing import Any

from mobilenet.papers.imagenet import Published, read_published

# Quantized networks and other families are not what this package trains.
_FAMILIES = {"v1": "V1", "v2": "V2"}


def published_data() -> list[dict[str, Any]]:
    """Returns the published points of both families that have an accuracy and a cost."""
    return [
        _point(row)
        for row in read_published()
        if row.family in _FAMILIES and row.top1 is not None and row.madds_millions is not None
    ]


def _point(row: Published) -> dict[str, Any]:
    facts = [("multiply-adds", f"{row.madds_millions:g} M")]
    if row.params_millions is not None:
        facts.append(("parameters", f"{row.params_millions:g} M"))
    facts += [("top-1", f"{row.top1:g} %"), ("source", row.source)]
    family = _FAMILIES[row.family]
    return {
        "family": family,
        "label": f"{family} {row.width}, {row.resolution} pixels, ImageNet",
        "madds": (row.madds_millions or 0) * 1e6,
        "top1": row.top1,
        "facts": facts,
    }
