"""The accuracies that publishers give with their weights."""

from mobilenet.papers.imagenet import SLIM_V1, SLIM_V2, Published, read_published
from mobilenet.weights.registry import Release

# How the sources of the rows begin, by the publisher of the weights. transformers gives none.
_SOURCES = {
    "torchvision": "torchvision docs mobilenet_v2",
    "timm": "huggingface/pytorch-image-models results/results-imagenet.csv",
    "keras": "keras-team/keras-applications README.md",
}


def published_accuracy(source: str, entry: Release) -> float | None:
    """Returns the publisher's top-1 in percent, at the resolution of the entry; None without one.

    Args:
      source: as in `mobilenet.weights.registry.SOURCES`.
      entry: one of its files.
    """
    found = [
        row.top1
        for row in read_published()
        if row.resolution == entry.preprocessing.resolution and _is_of(row, source, entry)
    ]
    return found[0] if found else None


def _is_of(row: Published, source: str, entry: Release) -> bool:
    is_network = (f"mobilenet_{row.family}", row.width) == (entry.family, str(entry.width))
    if source == "slim":
        return is_network and row.source in (SLIM_V1, SLIM_V2)
    if source not in _SOURCES or not row.source.startswith(_SOURCES[source]):
        return False
    if source == "timm":
        # Networks that the papers do not have are families of their own there.
        variant = entry.label.partition(".")[0]
        recipe = entry.label.removesuffix("_in1k")
        return row.family == variant or (is_network and recipe in row.source)
    if source == "torchvision":
        return is_network and f"IMAGENET1K_{entry.label.upper()} " in row.source
    return is_network
