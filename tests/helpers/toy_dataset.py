"""Writes small datasets whose images tell which record they are."""

import pathlib

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


def write(data_dir: pathlib.Path, name: str, images: dict[str, list[bytes]]) -> None:
    """Writes a dataset of three classes; record i has label i % 3 and file name `<i>.png`."""
    with new_dataset_directory(name, data_dir) as directory:
        writer = DatasetWriter(directory, name, ["a", "b", "c"])
        for split, files in images.items():
            examples = [Example(data, i % 3, f"{i}.png") for i, data in enumerate(files)]
            writer.write_split(split, examples, num_examples=len(files), num_bytes=0)
        writer.write_metadata(description="For tests.")


def data_config(name: str, data_dir: pathlib.Path) -> ml_collections.ConfigDict:
    """`config.data` of a dataset, otherwise as it is by default."""
    config = get_config().data
    config.update(name=name, data_dir=str(data_dir))
    return config


def read(config: ml_collections.ConfigDict, split: str) -> tuple[Split, list[Record]]:
    """The split as training sees it, and its records."""
    opened = open_split(config, split)
    return opened, [opened.source[i] for i in range(opened.num_examples)]
