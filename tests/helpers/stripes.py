"""A small dataset of three classes that a network learns in a few steps."""

import pathlib

import cv2
import numpy as np

from mobilenet.data.writer import DatasetWriter, Example, new_dataset_directory

NAME = "stripes"
# Neither is a multiple of the batches of 16: batches straddle epochs, and evaluation pads.
TRAIN, TEST = 72, 24


def write_stripes(data_dir: pathlib.Path) -> None:
    """Writes `stripes`: noisy 16 x 16 PNG images, gray, with horizontal, vertical or no stripes."""
    rng = np.random.default_rng(0)
    wave = np.where(np.arange(16) % 8 < 4, 60, -60)
    patterns = (wave[:, None] + np.zeros(16), wave + np.zeros((16, 1)), np.zeros((16, 16)))
    with new_dataset_directory(NAME, data_dir) as directory:
        writer = DatasetWriter(directory, NAME, ["horizontal", "vertical", "plain"])
        for split, size in (("test", TEST), ("train", TRAIN)):
            examples = []
            for index in range(size):
                pixels = 128 + patterns[index % 3] + rng.normal(0, 20, (16, 16))
                image = np.repeat(pixels.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
                png = cv2.imencode(".png", image)[1].tobytes()
                examples.append(Example(png, index % 3, f"{index}.png"))
            writer.write_split(split, examples, num_examples=size, num_bytes=0)
        writer.write_metadata(description="For tests.")
