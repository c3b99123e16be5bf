"""Writes a dataset of gray images with classes of one's choice."""

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from mobilenet.data.writer import DatasetWriter, Example, new_dataset_directory


def write_images(
    data_dir: pathlib.Path, name: str, class_names: Sequence[str], labels: Sequence[int]
) -> None:
    """Writes the split `test`, with an image for each label."""
    image = cv2.imencode(".png", np.full((40, 50, 3), 99, np.uint8))[1].tobytes()
    with new_dataset_directory(name, data_dir) as directory:
        writer = DatasetWriter(directory, name, list(class_names))
        examples = [Example(image, label, f"{i}.png") for i, label in enumerate(labels)]
        writer.write_split("test", examples, num_examples=len(labels), num_bytes=0)
        writer.write_metadata(description="For tests.")
