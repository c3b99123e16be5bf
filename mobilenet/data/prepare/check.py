"""Whether a prepared dataset is complete and sound: counts, classes, sizes, and every pixel."""

import collections
import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import ml_collections
import numpy as np
from array_record.python import array_record_module
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from jaxtyping import Float64

from mobilenet.data.datasets import Split, list_splits, open_split
from mobilenet.data.images import CorruptImageError, decode_with_simplejpeg
from mobilenet.data.known import find_known
from mobilenet.data.records import ArrayRecordSource, Record
from mobilenet.runtime.formatting import format_table

# A thread's task: long enough to make up for its start, short enough to show progress.
_TASK_RECORDS = 256
# What a damaged file makes ArrayRecord and protobuf raise.
_READ_ERRORS = (OSError, RuntimeError, ValueError, IndexError, DecodeError)


class Extreme(NamedTuple):
    """The size of an image: what is compared, how it is told, and the record's place and name."""

    size: int
    text: str
    where: str


@dataclasses.dataclass
class Findings:
    """What some records of a split hold; those of several parts add up.

    `pixels` sums over images, for each of red, green and blue, the image's mean and its mean
    square, on the scale from 0 to 255.
    """

    checked: int = 0
    labels: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    empty_label_sets: int = 0
    bad: list[str] = dataclasses.field(default_factory=list)
    decoded: int = 0
    fewest_pixels: Extreme | None = None
    most_pixels: Extreme | None = None
    fewest_bytes: Extreme | None = None
    most_bytes: Extreme | None = None
    pixels: Float64[np.ndarray, "2 3"] = dataclasses.field(default_factory=lambda: np.zeros((2, 3)))

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(
            checked=self.checked + other.checked,
            labels=self.labels + other.labels,
            empty_label_sets=self.empty_label_sets + other.empty_label_sets,
            bad=self.bad + other.bad,
            decoded=self.decoded + other.decoded,
            fewest_pixels=_choose(min, self.fewest_pixels, other.fewest_pixels),
            most_pixels=_choose(max, self.most_pixels, other.most_pixels),
            fewest_bytes=_choose(min, self.fewest_bytes, other.fewest_bytes),
            most_bytes=_choose(max, self.most_bytes, other.most_bytes),
            pixels=self.pixels + other.pixels,
        )

    @property
    def mean(self) -> Float64[np.ndarray, "3"]:
        """Mean of the pixels, every image weighing the same."""
        return self.pixels[0] / max(self.decoded, 1)

    @property
    def stddev(self) -> Float64[np.ndarray, "3"]:
        """Standard deviation of the pixels around `mean`, every image weighing the same."""
        variance = self.pixels[1] / max(self.decoded, 1) - self.mean**2
        return np.sqrt(np.maximum(variance, 0))


@dataclasses.dataclass(frozen=True)
class SplitCheck:
    """The check of one split.

    Attributes:
      split: what was checked.
      findings: of the records that were looked at, all or a sample.
      faults: what is wrong, one sentence each; empty if the split is sound.
      notes: what is worth knowing.
    """

    split: Split
    findings: Findings
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def check_dataset(
    data_config: ml_collections.ConfigDict,
    *,
    sample: int | None,
    threads: int,
    progress: Callable[[str, int, int], None] = lambda _split, _done, _total: None,
) -> Iterator[SplitCheck]:
    """Checks every split of a prepared dataset, one after the other.

    Args:
      data_config: `config.data`, as `open_split` reads it.
      sample: how many records of each split to look at, at equal distances, since a dataset may be
        sorted by class; None looks at all.
      threads: that read and decode; both release Python's lock.
      progress: gets the split, how many records were looked at, and how many will be.

    Raises:
      DatasetNotFoundError, DatasetFormatError: as `open_split`; a missing one is not prepared.
    """
    for name in list_splits(data_config, prepare=False):
        split = open_split(data_config, name)
        size = split.num_examples
        number = size if sample is None else min(sample, size)
        indices = [place * size // number for place in range(number)]
        findings = functools.reduce(
            Findings.__add__,
            _look(split, indices, threads, functools.partial(progress, name)),
            Findings(),
        )
        yield SplitCheck(split, findings, *_judge(split, findings))


def find_missing_splits(data_config: ml_collections.ConfigDict) -> list[str]:
    """Returns the published splits of a well-known dataset that are not there."""
    known = find_known(data_config.name)
    there = list_splits(data_config, prepare=False)
    return [name for name in (known.splits if known else ()) if name not in there]


def _look(
    split: Split, indices: Sequence[int], threads: int, progress: Callable[[int, int], None]
) -> Iterator[Findings]:
    tasks = [indices[at : at + _TASK_RECORDS] for at in range(0, len(indices), _TASK_RECORDS)]
    done = 0
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        try:
            # In order, so that the sums of floating-point numbers are the same every time.
            for findings in pool.map(functools.partial(_look_at_records, split), tasks):
                done += findings.checked
                progress(done, len(indices))
                yield findings
        finally:
            # After Ctrl-C the tasks in the queue would still be waited for.
            pool.shutdown(wait=True, cancel_futures=True)


def _look_at_records(split: Split, indices: Iterable[int]) -> Findings:
    found = Findings()
    for index in indices:
        found.checked += 1
        try:
            record = split.source[index]
        except _READ_ERRORS as error:
            found.bad.append(f"record {index}: it cannot be read ({_first_line(error)})")
            continue
        where = f"record {index}" + (f" ({record.file_name})" if record.file_name else "")
        found.labels[record.label] += 1
        found.empty_label_sets += record.label_set == ()
        _look_at_image(found, record, where)
    return found


def _look_at_image(found: Findings, record: Record, where: str) -> None:
    size = len(record.image)
    weight = Extreme(size, f"{size:,} bytes", where)
    found.fewest_bytes = _choose(min, found.fewest_bytes, weight)
    found.most_bytes = _choose(max, found.most_bytes, weight)
    try:
        image = decode_with_simplejpeg(record.image)
    except CorruptImageError as error:
        found.bad.append(f"{where}: {error}")
        return
    height, width = image.shape[:2]
    extent = Extreme(height * width, f"{width} x {height} pixels", where)
    found.fewest_pixels = _choose(min, found.fewest_pixels, extent)
    found.most_pixels = _choose(max, found.most_pixels, extent)
    mean, stddev = (values[:, 0] for values in cv2.meanStdDev(image))
    found.pixels += np.stack([mean, stddev**2 + mean**2])
    found.decoded += 1


def _choose(
    of: Callable[..., Extreme], first: Extreme | None, second: Extreme | None
) -> Extreme | None:
    if first is None or second is None:
        return first or second
    # The earlier one, where both are equal.
    return of(first, second, key=lambda extreme: extreme.size)


def _judge(split: Split, found: Findings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns faults and notes."""
    faults, notes = list(_check_files(split)), []
    known = find_known(split.name)
    published = known.splits.get(split.split) if known else None
    if published is not None and published != split.num_examples:
        faults.append(f"it has {split.num_examples:,} images, and {published:,} as published")
    if found.bad:
        faults.append(f"{len(found.bad):,} of {found.checked:,} images cannot be decoded")
    outside = [label for label in found.labels if not 0 <= label < split.num_classes]
    if outside == list(found.labels) == [-1]:
        notes.append("it has no labels")
    elif outside:
        faults.append(
            f"labels that are no class from 0 to {split.num_classes - 1}: "
            f"{', '.join(map(str, sorted(outside)[:10]))}"
        )
    missing = find_missing_classes(split, found)
    if missing and not outside and found.checked == split.num_examples:
        # A small part for evaluation may well lack a rare class.
        target = faults if split.split == "train" or published is not None else notes
        target.append(f"{len(missing):,} of {split.num_classes:,} classes have no image")
    if found.empty_label_sets:
        notes.append(f"{found.empty_label_sets:,} images have an empty set of labels")
    return tuple(faults), tuple(notes)


def find_missing_classes(split: Split, found: Findings) -> list[str]:
    """Returns the names of the classes of which no image was seen."""
    return [name for label, name in enumerate(split.class_names) if not found.labels[label]]


def _check_files(split: Split) -> Iterator[str]:
    """Compares the number of records in each file with what the dataset's description says."""
    if not isinstance(split.source, ArrayRecordSource):
        return
    for part in split.source.ranges:
        name = pathlib.Path(part.path).name
        try:
            # The reader complains of a missing file only when it reads.
            if not os.path.exists(part.path):  # noqa: PTH110 - the path may be in the cloud
                raise FileNotFoundError("there is no such file")
            reader = array_record_module.ArrayRecordReader(part.path)
            number = reader.num_records()
            reader.close()
        except _READ_ERRORS as error:
            yield f"the file {name} cannot be read ({_first_line(error)})"
            continue
        if number != part.stop:
            yield f"the file {name} has {number:,} records, and should have {part.stop:,}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def format_split_check(check: SplitCheck, *, most: int = 20) -> str:
    """Returns the check as text; of bad records and missing classes at most so many by name."""
    split, found = check.split, check.findings
    how = "every one" if found.checked == split.num_examples else "a sample at equal distances"
    rows = [("  looked at", f"{found.checked:,}, {how}")]

    def add(name: str, text: str) -> None:
        rows.append((f"  {name}", text))

    counts = [found.labels[label] for label in range(split.num_classes)]
    median = statistics.median(counts)
    add(
        "images a class",
        f"{min(counts):,} to {max(counts):,}, median {median:,g}, of {split.num_classes:,} classes",
    )
    missing = find_missing_classes(split, found)
    # In a sample most are missing by chance.
    if missing and found.checked == split.num_examples:
        more = f" and {len(missing) - most:,} more" if len(missing) > most else ""
        add("classes without", f"{', '.join(missing[:most])}{more}")
    for name, least, greatest in (
        ("pixels", found.fewest_pixels, found.most_pixels),
        ("file size", found.fewest_bytes, found.most_bytes),
    ):
        if least and greatest:
            add(name, f"{least.text}, {least.where}, to {greatest.text}, {greatest.where}")
    if found.decoded:
        for name, values in (("mean pixel", found.mean), ("deviation", found.stddev)):
            rounded = ", ".join(f"{value:.2f}" for value in values)
            add(name, f"({rounded}), red, green and blue of 0 to 255, each image weighing the same")
    for note in check.notes:
        add("note", note)
    for fault in check.faults:
        add("FAULT", fault)
    for bad in found.bad[:most]:
        add("bad", bad)
    if len(found.bad) > most:
        add("bad", f"and {len(found.bad) - most:,} more")
    return f"{split.split}: {split.num_examples:,} images\n{format_table(rows, 'l')}"
