"""tf.data with its fused decode-and-crop, as TensorFlow's ImageNet examples read TFRecord files."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import ml_collections
import tensorflow as tf

from benchmarks.photographs import data_config
from benchmarks.timing import Turn, draw_batches
from benchmarks.workload import InputWorkload
from mobilenet.data.datasets import Split, open_split

_SHUFFLE_BUFFER = 1024
# As many as ours tries.
_CROP_ATTEMPTS = 10


def read(workload: InputWorkload) -> Turn:
    config = data_config(workload.data, workload.data_dir, workload.threads)
    path = pathlib.Path(workload.scratch) / "examples.tfrecord"
    _write_examples(path, open_split(config, workload.split))
    dataset = build_dataset(path, workload, config)

    def open_batches() -> contextlib.AbstractContextManager[Iterator[Any]]:
        return contextlib.nullcontext(dataset.as_numpy_iterator())

    return draw_batches(open_batches)


def build_dataset(
    path: pathlib.Path, workload: InputWorkload, config: ml_collections.ConfigDict
) -> tf.data.Dataset:
    """Returns endless batches of uint8 images and int64 labels, in random order."""
    side = workload.resolution
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def load(example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(example, features)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.io.extract_jpeg_shape(parsed["image"]),
            bounding_boxes=tf.zeros([1, 0, 4]),
            min_object_covered=0.0,
            aspect_ratio_range=config.crop_aspect,
            area_range=config.crop_area,
            max_attempts=_CROP_ATTEMPTS,
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.concat([begin[:2], size[:2]], 0)
        image = tf.image.decode_and_crop_jpeg(
            parsed["image"], window, channels=3, dct_method="INTEGER_FAST"
        )
        image = tf.image.resize(image, [side, side], method="bilinear")
        return tf.cast(image, tf.uint8), parsed["label"]

    options = tf.data.Options()
    options.threading.private_threadpool_size = workload.threads
    options.deterministic = False
    return (
        tf.data.TFRecordDataset(os.fspath(path))
        .repeat()
        .shuffle(_SHUFFLE_BUFFER)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(workload.batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options)
    )


def _write_examples(path: pathlib.Path, split: Split) -> None:
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for index in range(split.num_examples):
            record = split.source[index]
            feature = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[record.image])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[record.label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
