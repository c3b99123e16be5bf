"""Writes small datasets whose images tell which record they are."""

import pathlib
from collections.abc import Sequence

import cv2
import ml_collections
import numpy as np

from mobilenet.config import get_config
from mobilenet.data.datasets import Split, open_split
from mobilenet.data.records import Record
from mobilenet.data.writer import DatasetWriter, Example, new_dataset_directory

TRAIN, TEST = 23, 9


def png(image: np.ndarray) -> bytes:
    """RGB pixels as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def constant(index: int) -> np.ndarray:
    """The image of record `index`: 12 x 10 pixels of the value 5 * index + 1."""
    return np.full((12, 10, 3), 5 * index + 1, np.uint8)


def write(
    data_dir: pathlib.Path,
    name: str,
    images: dict[str, list[bytes]],
    class_names: Sequence[str] = ("a", "b", "c"),
    labels: Sequence[int] = (0, 1, 2),
) -> None:
    """Writes a dataset; record i has the label i, counted round, and the file name `<i>.png`."""
    with new_dataset_directory(name, data_dir) as directory:
        writer = DatasetWriter(directory, name, list(class_names))
        for split, files in images.items():
            examples = [
                Example(data, labels[i % len(labels)], f"{i}.png") for i, data in enumerate(files)
            ]
            writer.write_split(split, examples, num_examples=len(files), num_bytes=0)
        writer.write_metadata(description="For tests.")


def write_gray(
    data_dir: pathlib.Path, name: str, class_names: Sequence[str], labels: Sequence[int]
) -> None:
    """Writes the split `test`, with a gray image for each label."""
    image = png(np.full((40, 50, 3), 99, np.uint8))
    write(data_dir, name, {"test": [image] * len(labels)}, class_names, labels)


def data_config(name: str, data_dir: pathlib.Path) -> ml_collections.ConfigDict:
    """`config.data` of a dataset, otherwise as it is by default."""
    config = get_config().data
    config.update(name=name, data_dir=str(data_dir))
    return config


def read(config: ml_collections.ConfigDict, split: str) -> tuple[Split, list[Record]]:
    """The split as training sees it, and its records."""
    opened = open_split(config, split)
    return opened, [opened.source[i] for i in range(opened.num_examples)]
