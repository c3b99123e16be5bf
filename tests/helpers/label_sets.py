"""Writes a dataset like `imagenet2012_real`: the images of `stripes` with sets of labels."""

import os
import pathlib
from collections.abc import Sequence

import tensorflow_datasets as tfds
from array_record.python import array_record_module

from mobilenet.data.writer import new_dataset_directory

NAME = "stripes_real"


def write_label_sets(
    data_dir: pathlib.Path, images: Sequence[tuple[bytes, int]], sets: Sequence[Sequence[int]]
) -> None:
    """Writes the split `validation`, with the features of TFDS's builder.

    Source: tensorflow_datasets/datasets/imagenet2012_real/imagenet2012_real_dataset_builder.py.
    """
    names = ["horizontal", "vertical", "plain"]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "original_label": tfds.features.ClassLabel(names=names),
            "real_label": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
            "file_name": tfds.features.Text(),
        }
    )
    with new_dataset_directory(NAME, data_dir) as directory:
        path = directory / f"{NAME}-validation.array_record-00000-of-00001"
        writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
        for index, ((image, label), right) in enumerate(zip(images, sets, strict=True)):
            example = {"image": image, "original_label": label, "real_label": list(right)}
            writer.write(features.serialize_example(example | {"file_name": f"{index}".encode()}))
        writer.close()
        split = tfds.core.SplitInfo(name="validation", shard_lengths=[len(sets)], num_bytes=0)
        tfds.folder_dataset.write_metadata(
            data_dir=directory,
            features=features,
            split_infos=[split],
            version="1.0.0",
            check_data=False,
        )
