"""The files of the input benchmark."""

import cv2
import numpy as np
import pytest

from benchmarks import photographs
from mobilenet.data.datasets import open_split
from mobilenet.data.images import decode_with_simplejpeg
from mobilenet.errors import UserError
from tests.helpers import toy_dataset

SHAPES = [(40, 60), (60, 40), (50, 50)]  # height, width


def write_dataset(data_dir, extension):
    """Gray images of the labels 0, 1, 2, each of one value: 50, 100, 150."""
    images = [np.full((*shape, 3), 50 * (i + 1), np.uint8) for i, shape in enumerate(SHAPES)]
    files = [cv2.imencode(extension, image)[1].tobytes() for image in images]
    toy_dataset.write(data_dir, "grays", {"train": files})
    config = photographs.data_config("grays", str(data_dir), threads=1)
    return open_split(config, "train"), files


def test_resized_photographs_keep_content_label_and_orientation(tmp_path):
    split, _ = write_dataset(tmp_path, ".png")
    name = photographs.write_resized(split, (50, 30), str(tmp_path))
    resized = open_split(photographs.data_config(name, str(tmp_path), threads=1), "train")
    assert [resized.source[i].label for i in range(3)] == [0, 1, 2]
    images = [decode_with_simplejpeg(resized.source[i].image) for i in range(3)]
    assert [image.shape for image in images] == [(30, 50, 3), (50, 30, 3), (30, 50, 3)]
    assert [round(image.mean()) for image in images] == [50, 100, 150]


def test_the_mean_size_is_that_of_the_files(tmp_path):
    split, files = write_dataset(tmp_path, ".jpg")
    assert photographs.mean_jpeg_bytes(split) == pytest.approx(sum(map(len, files)) / 3)


def test_other_files_than_jpeg_are_refused(tmp_path):
    split, _ = write_dataset(tmp_path, ".png")
    with pytest.raises(UserError, match=r"Image 0 of grays, split 'train', is no JPEG: choose"):
        photographs.mean_jpeg_bytes(split)


def test_a_size_is_width_and_height():
    assert photographs.parse_size("500x375") == (500, 375)


@pytest.mark.parametrize("text", ["500", "500x", "0x10", "500 x 375", "-5x5"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match="give width and height in pixels, such as 500x375"):
        photographs.parse_size(text)
