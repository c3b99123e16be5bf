"""Writes `imagenet2012/5.1.0` in ArrayRecord form, in parallel, and goes on after a kill."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import tensorflow_datasets as tfds
import tqdm

from mobilenet.data.prepare.imagenet.labels import (
    ImagenetError,
    class_numbers,
    tfds_text,
)
from mobilenet.data.prepare.imagenet.shards import (
    Receipt,
    ShardTask,
    plan_shards,
    read_receipt,
    write_shard,
)
from mobilenet.data.prepare.imagenet.sources import list_source
from mobilenet.data.prepare.imagenet.tfrecords import NAME
from mobilenet.data.prepare.imagenet.workers import Workers
from mobilenet.data.writer import check_absent, image_features, locked_directory, shard_path
from mobilenet.errors import UserError, os_errors_explained
from mobilenet.runtime.environment import usable_cores

VERSION = "5.1.0"  # TFDS's, since it has a test split, which we leave out

_BAD_SHOWN = 100


@dataclasses.dataclass(frozen=True)
class PreparedImagenet:
    """What was written.

    Attributes:
      directory: the dataset.
      num_examples: images of each split.
      converted: images that became RGB JPEGs.
      damaged: images that were kept and cannot be decoded.
    """

    directory: pathlib.Path
    num_examples: dict[str, int]
    converted: int
    damaged: int


def prepare_imagenet(
    source: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    *,
    val_labels: str | os.PathLike[str] | None = None,
    allow_partial: bool = False,
    keep_damaged: bool = False,
    overwrite: bool = False,
    num_workers: int | None = None,
    report: Callable[[str], object] = print,
) -> PreparedImagenet:
    """Writes `data_dir/imagenet2012/5.1.0` from what `source` holds.

    The dataset is that of TFDS's own builder: the same features, the same records in the same order
    and in as many files, so TFDS reads it too. All images keep their bytes but the CMYK JPEGs and
    the PNG (22 and 1 in the real set), which are encoded again as RGB JPEGs of quality 100 as in
    TFDS; their bytes may differ from TFDS's, which are TensorFlow's. The test split is left out.

    The whole input is listed and checked before anything is written. Every image is decoded once,
    when its file is written. The dataset appears by one rename; a run that was killed is gone on
    with, if the input is the same.

    Args:
      source: a folder with the two official tars; or with train/<wnid>/*.JPEG and val/<wnid>/*.JPEG
        or val/*.JPEG; or with TFDS's TFRecord files of imagenet2012.
      data_dir: the folder of all datasets.
      val_labels: a file of one class a line in the order of the sorted names of the validation
        images. None: TFDS's list, which needs the official names.
      allow_partial: take fewer images and classes than ImageNet 2012 has.
      keep_damaged: store images that cannot be decoded as they are, as TFDS does without looking.
      overwrite: replace an existing dataset, at the very end.
      num_workers: processes; None: as many as there are processors. Each takes some 400 MB.
      report: is given sentences about what was found.

    Raises:
      ImagenetError: the input is wrong; or images cannot be decoded, and all of them are named.
      DatasetExistsError: the dataset exists and `overwrite` is not set.
      UserError: another process is preparing it, or the disk is too small or not writable.
    """
    source = pathlib.Path(source).expanduser()
    parent = pathlib.Path(data_dir).expanduser() / NAME
    final = parent / VERSION
    check_absent(final, overwrite=overwrite, other="another data_dir")
    if num_workers is None:
        num_workers = usable_cores()
    with Workers(num_workers) as workers:
        listing = list_source(
            source,
            workers,
            val_labels=val_labels,
            allow_partial=allow_partial,
            keep_damaged=keep_damaged,
        )
        shards = plan_shards(listing)
        with _work_directory(parent, overwrite=overwrite) as work:
            tasks = []
            for shard in shards:
                path = shard_path(work / VERSION, NAME, shard.split, shard.index, shard.num_shards)
                marker = work / "finished" / f"{path.name}.json"
                tasks.append(
                    ShardTask(shard, listing.kind, listing.containers, keep_damaged, path, marker)
                )
            receipts = _finished(work, tasks, report)
            _check_space(parent, [task for task in tasks if task.path not in receipts])
            _write(workers, tasks, receipts)
            _write_metadata(work / VERSION, tasks, receipts)
    return PreparedImagenet(
        directory=final,
        num_examples={split: len(members) for split, members in listing.splits.items()},
        converted=sum(receipt.converted for receipt in receipts.values()),
        damaged=sum(receipt.damaged for receipt in receipts.values()),
    )


@contextlib.contextmanager
def _work_directory(parent: pathlib.Path, *, overwrite: bool) -> Iterator[pathlib.Path]:
    """Gives a directory that outlives failures; its `VERSION` becomes the dataset in the end."""
    final = parent / VERSION
    work = parent / f"incomplete.{VERSION}"
    with contextlib.ExitStack() as stack:
        with os_errors_explained(f"write to {parent}"):
            try:
                stack.enter_context(locked_directory(parent, wait=False))
            except BlockingIOError as error:
                raise UserError(
                    f"Another process is preparing {NAME} in {parent}: wait for it, or end it."
                ) from error
            check_absent(final, overwrite=overwrite, other="another data_dir")
            for folder in (work / VERSION, work / "finished"):
                folder.mkdir(parents=True, exist_ok=True)
        try:
            yield work
            with os_errors_explained(f"write {final}"):
                if final.exists():
                    final.rename(work / "replaced")
                (work / VERSION).rename(final)
                shutil.rmtree(work)
        finally:
            if work.exists() and not any((work / "finished").iterdir()):
                shutil.rmtree(work)
            if not any(parent.iterdir()):
                parent.rmdir()


def _finished(
    work: pathlib.Path, tasks: list[ShardTask], report: Callable[[str], object]
) -> dict[pathlib.Path, Receipt]:
    """The receipts of the files that an earlier run has left; removes everything else."""
    left = len(list((work / "finished").glob("*.json")))
    receipts = {task.path: receipt for task in tasks if (receipt := read_receipt(task))}
    kept = {path for task in tasks if task.path in receipts for path in (task.path, task.marker)}
    for path in [*(work / VERSION).iterdir(), *(work / "finished").iterdir()]:
        if path not in kept:
            path.unlink()
    if receipts:
        report(f"Going on: {len(receipts)} of {len(tasks)} files are finished.")
    if left > len(receipts):
        report(
            f"The input has changed since {left} files were finished: "
            f"{left - len(receipts)} of them are made anew."
        )
    return receipts


def _check_space(parent: pathlib.Path, tasks: list[ShardTask]) -> None:
    needed = sum(member.size for task in tasks for member in task.shard.members)
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise UserError(
            f"{parent} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are to be written: "
            "free some space, or choose another data_dir."
        )


def _write(workers: Workers, tasks: list[ShardTask], receipts: dict[pathlib.Path, Receipt]) -> None:
    """Writes the files that have no receipt yet, and adds theirs."""
    images = {task.path: len(task.shard.members) for task in tasks}
    missing = [task for task in tasks if task.path not in receipts]
    bad: list[str] = []
    with tqdm.tqdm(
        desc=NAME,
        total=sum(images.values()),
        initial=sum(images[path] for path in receipts),
        unit="image",
    ) as progress:
        for task, result in workers.run(write_shard, missing):
            if isinstance(result, Receipt):
                receipts[task.path] = result
            else:
                # Goes on to name all of them: to learn of one at a time would cost a run each.
                bad += result
            progress.update(images[task.path])
    if bad:
        more = len(bad) - _BAD_SHOWN
        raise ImagenetError(
            f"{len(bad)} images cannot be decoded, so no dataset was made; replace them and start "
            "again, or pass --keep_damaged to store them as they are:\n  "
            + "\n  ".join(bad[:_BAD_SHOWN])
            + (f"\n  and {more} more" * (more > 0))
        )


def _write_metadata(
    directory: pathlib.Path, tasks: list[ShardTask], receipts: dict[pathlib.Path, Receipt]
) -> None:
    splits = []
    for split in dict.fromkeys(task.shard.split for task in tasks):
        parts = [task for task in tasks if task.shard.split == split]
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(part.shard.members) for part in parts],
                num_bytes=sum(receipts[part.path].record_bytes for part in parts),
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=directory,
        features=image_features(list(class_numbers()), encoding_format="jpeg"),
        split_infos=splits,
        version=VERSION,
        check_data=False,  # reads through tf.data
        description=tfds_text("README.md").strip(),
        homepage="https://image-net.org/",
        citation=tfds_text("CITATIONS.bib").strip(),
        supervised_keys=("image", "label"),
    )
