"""The JPEG files that the input benchmark reads: those of a prepared dataset, or these resized."""

import pathlib
import re

import cv2
import ml_collections

from mobilenet import config as base
from mobilenet.data.datasets import Split
from mobilenet.data.images import decode_with_simplejpeg, resize
from mobilenet.data.records import Record
from mobilenet.data.writer import DatasetWriter, Example, new_dataset_directory
from mobilenet.errors import UserError

_RESIZED = "resized_photographs"
_JPEG_QUALITY = 90
_JPEG_START = b"\xff\xd8\xff"


def data_config(name: str, data_dir: str | None, threads: int) -> ml_collections.ConfigDict:
    """Returns `config.data` as a run on photographs has it, reading in threads of one process."""
    config = base.get_config().data
    config.name = name
    config.data_dir = data_dir
    config.train_crop = "inception"
    config.num_threads = threads
    config.num_workers = 0
    return config


def parse_size(text: str) -> tuple[int, int]:
    """Returns (width, height) in pixels of a text such as 500x375.

    Raises:
      UserError: the text is no size.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise UserError(f"--source_size={text}: give width and height in pixels, such as 500x375.")
    return int(match[1]), int(match[2])


def mean_jpeg_bytes(split: Split) -> float:
    """Returns the mean size of the image files of a split.

    Raises:
      UserError: one is no JPEG, which is all that tf.data's fused operation reads.
    """
    total = 0
    for index in range(split.num_examples):
        image = split.source[index].image
        if not image.startswith(_JPEG_START):
            raise UserError(
                f"Image {index} of {split.name}, split {split.split!r}, is no JPEG: choose "
                "photographs in JPEG, or give --source_size, which makes JPEG files of them."
            )
        total += len(image)
    return total / split.num_examples


def write_resized(split: Split, size: tuple[int, int], data_dir: str) -> str:
    """Writes a dataset with the split `train`: the same photographs at one size, in JPEG.

    Args:
      split: the photographs.
      size: width and height in pixels; the other way round for photographs in portrait.
      data_dir: where the dataset is put.

    Returns:
      The name of the dataset.

    Raises:
      CorruptImageError: a photograph cannot be decoded.
    """
    examples = [_resize(split.source[index], size) for index in range(split.num_examples)]
    with new_dataset_directory(_RESIZED, pathlib.Path(data_dir)) as directory:
        writer = DatasetWriter(directory, _RESIZED, split.class_names)
        writer.write_split(
            "train",
            examples,
            num_examples=len(examples),
            num_bytes=sum(len(example.image) for example in examples),
        )
        writer.write_metadata(description=f"{split.name} at {size[0]}x{size[1]} pixels.")
    return _RESIZED


def _resize(record: Record, size: tuple[int, int]) -> Example:
    image = decode_with_simplejpeg(record.image)
    width, height = size
    if (image.shape[0] > image.shape[1]) != (height > width):
        width, height = height, width
    resized = cv2.cvtColor(resize(image, height, width, "bicubic"), cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    data = cv2.imencode(".jpg", resized, quality)[1].tobytes()
    return Example(data, record.label, record.file_name or "")
