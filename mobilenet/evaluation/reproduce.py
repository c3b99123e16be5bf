"""Evaluates all weights of a publisher, and keeps what it found as lines that figures read.

A line has the form of a finished run (`mobilenet.runs.finished`), whose config says whose weights
these are in place of how they were trained.
"""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections

from mobilenet.errors import UserError, os_errors_explained
from mobilenet.evaluation.of_weights import Images, evaluate_on, open_images
from mobilenet.networks.cost import count_cost
from mobilenet.runs.finished import Run, read_runs, to_line
from mobilenet.runtime.environment import describe_environment
from mobilenet.weights.pretrained import Pretrained, load_pretrained
from mobilenet.weights.published_accuracy import published_accuracy
from mobilenet.weights.registry import Release, Source, find_source

# On which publishers measure.
_IMAGENET = ("imagenet2012", "validation")
# What the config of a line says already.
_OF_CONFIG = ("data", "weights", "preprocessing")


def reproduce_tradeoff(
    config: ml_collections.ConfigDict,
    source: str,
    data: str,
    out: str | os.PathLike[str],
    *,
    split: str | None = None,
    batch_size: int | None = None,
    data_dir: str | None = None,
    weights_dir: str | None = None,
    command: Sequence[str] = (),
    report: Callable[[str], None] = print,
) -> list[str]:
    """Evaluates every width and resolution of a source, and appends a line for each to a file.

    Those that the file has already are not evaluated again, so a killed run goes on. Weights that
    cannot be had are passed over.

    Args:
      config: the complete default config, as in `evaluate_pretrained`.
      source: `torchvision`, `timm`, `keras`, `slim` or `transformers`.
      data, split, batch_size, data_dir: as in `evaluate_pretrained`.
      out: a file that ends in .jsonl.
      weights_dir: where the publisher's files lie under the publisher's names; nothing is
        downloaded then. None downloads them once.
      command: the command line, for the environment of the lines.
      report: takes a line of the table when it is known.

    Returns:
      Why weights were passed over, a sentence each.

    Raises:
      UserError: no such source, or the data cannot be read, or the file cannot be read or written.
    """
    found, path = find_source(source), pathlib.Path(out).expanduser()
    if path.suffix != ".jsonl":
        raise UserError(f"--out={out} must end in .jsonl, as files of results do.")
    images = open_images(config, data, split=split, batch_size=batch_size, data_dir=data_dir)
    done = _read_lines(path)
    environment = {"starts": [describe_environment(command)]}
    missing = []
    report(_row("network", "pixels", "weights", "top-1 %", "published", "difference"))
    for entry in found.releases:
        described = describe(images, found, entry)
        run = next((run for run in done if run.config == described), None)
        if run is None:
            try:
                pretrained = _load(source, entry, weights_dir)
            except UserError as error:
                missing.append(str(error))
                report(_format(entry, None, published_accuracy(source, entry)))
                continue
            result = _evaluate(images, pretrained)
            run = Run(f"{source}/{entry.label}", described, environment, result, [])
            _append(path, run)
        report(_format(entry, 100 * run.result[run.score_name], published_accuracy(source, entry)))
    if (images.split.name, images.split.split) != _IMAGENET:
        report(
            "The published accuracies are of the 50,000 validation images of ImageNet, and ours of "
            f"{images.split.num_examples:,} images of {images.split.name} ({images.split.split}): "
            "the differences say nothing."
        )
    return missing


def _load(source: str, entry: Release, weights_dir: str | None) -> Pretrained:
    words = f"{source}/{entry.label}"
    if weights_dir is not None:
        words += f":{pathlib.Path(weights_dir) / entry.file_name}"
    resolution = entry.preprocessing.resolution
    return load_pretrained(entry.family, words, width=entry.width, resolution=resolution)


def _evaluate(images: Images, pretrained: Pretrained) -> dict[str, Any]:
    metrics = evaluate_on(images, pretrained)
    cost = count_cost(pretrained.model.architecture)
    return {
        **{name: value for name, value in metrics.items() if name not in _OF_CONFIG},
        "params": cost.params,
        "madds": cost.madds,
        "seconds": metrics["num_images"] / metrics["images_per_second"],
    }


def describe(images: Images, source: Source, entry: Release) -> dict[str, Any]:
    """Returns the config of a line: which weights, which network, which images."""
    knobs = {**entry.knobs, "width": entry.width, "resolution": entry.preprocessing.resolution}
    return {
        "weights": {
            "source": source.name,
            "label": entry.label,
            "preprocessing": entry.preprocessing.describe(),
        },
        "model": {**dict.fromkeys(images.config.model), "name": entry.family, **knobs},
        "data": {"name": images.split.name, "data_dir": None, "eval_split": images.split.split},
        "compute_dtype": "float32",
        "seed": 0,
    }


def _read_lines(path: pathlib.Path) -> list[Run]:
    """Returns the runs of a file; a last line that a kill cut short is removed."""
    with os_errors_explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.seek(0)
            text = file.read()
            whole = text.rfind(b"\n") + 1
            file.truncate(whole)
    return read_runs([path]) if whole else []


def _append(path: pathlib.Path, run: Run) -> None:
    with os_errors_explained(f"write {path}"), path.open("ab") as file:
        file.write(to_line(run).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _format(entry: Release, percent: float | None, published: float | None) -> str:
    return _row(
        f"{entry.family} {entry.width:g}",
        str(entry.preprocessing.resolution),
        entry.label,
        _number(percent),
        _number(published),
        f"{percent - published:+.2f}" if percent is not None and published is not None else "-",
    )


def _number(percent: float | None) -> str:
    return "-" if percent is None else f"{percent:.2f}"


def _row(network: str, pixels: str, label: str, *numbers: str) -> str:
    cells = "".join(f"{number:>12}" for number in numbers)
    return f"{network:18}{pixels:>6}{cells}  {label}"
