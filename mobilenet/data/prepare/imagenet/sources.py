"""Finds out in which form an input is, and lists it."""

import collections
import os
import pathlib

from mobilenet.data.known import KNOWN_DATASETS
from mobilenet.data.prepare.imagenet.folders import list_folders
from mobilenet.data.prepare.imagenet.labels import ImagenetError
from mobilenet.data.prepare.imagenet.listing import TRAIN, VALIDATION, Listing
from mobilenet.data.prepare.imagenet.tars import TRAIN_TAR, VALIDATION_TAR, list_tars
from mobilenet.data.prepare.imagenet.tfrecords import find_preparation, list_tfrecords
from mobilenet.data.prepare.imagenet.workers import Workers
from mobilenet.data.prepare.names import some

NUM_EXAMPLES = KNOWN_DATASETS["imagenet2012"].splits


def list_source(
    source: pathlib.Path,
    workers: Workers,
    *,
    val_labels: str | os.PathLike[str] | None,
    allow_partial: bool,
    keep_damaged: bool,
) -> Listing:
    """Lists the two tars, the folders or the TFRecord preparation in `source`.

    Raises:
      ImagenetError: it holds none of them, or something about it is wrong.
    """
    if not source.is_dir():
        raise ImagenetError(f"There is no folder {source}: name the one that holds ImageNet 2012.")
    if any((source / name).exists() for name in (TRAIN_TAR, VALIDATION_TAR)):
        listing = list_tars(
            source,
            workers,
            val_labels=val_labels,
            allow_partial=allow_partial,
            keep_damaged=keep_damaged,
        )
    elif preparation := find_preparation(source):
        if val_labels is not None:
            raise ImagenetError(f"{preparation} has labels of its own: leave --val_labels out.")
        listing = list_tfrecords(preparation, workers)
    elif (source / TRAIN).is_dir():
        listing = list_folders(source, workers, val_labels=val_labels, allow_partial=allow_partial)
    else:
        raise ImagenetError(
            f"{source} holds neither {TRAIN_TAR} and {VALIDATION_TAR}, nor folders train/<wnid> "
            "and val, nor a TFDS preparation of imagenet2012: name the folder that does."
        )
    _check_counts(source, listing, allow_partial=allow_partial)
    if listing.kind == "images":
        _check_names(source, listing)
    return listing


def _check_counts(source: pathlib.Path, listing: Listing, *, allow_partial: bool) -> None:
    counts = {split: len(members) for split, members in listing.splits.items()}
    for split, count in counts.items():
        if count == 0:
            raise ImagenetError(f"{source} holds no {split} images: both splits need some.")
    if counts != NUM_EXAMPLES and not allow_partial:
        raise ImagenetError(
            f"{source} holds {counts[TRAIN]} train and {counts[VALIDATION]} validation images, and "
            f"ImageNet 2012 has {NUM_EXAMPLES[TRAIN]} and {NUM_EXAMPLES[VALIDATION]}: complete it, "
            "or pass --allow_partial to prepare what is there."
        )


def _check_names(source: pathlib.Path, listing: Listing) -> None:
    # TFDS orders the images by a hash of the name, and so must we.
    for split, members in listing.splits.items():
        counts = collections.Counter(member.name for member in members)
        if len(counts) < len(members):
            twice = sorted(name for name, count in counts.items() if count > 1)
            raise ImagenetError(
                f"{source} holds more than one {split} image named {some(twice)}: every image of a "
                "split needs a name of its own."
            )
