"""Draws what the network sees: one batch as the pipeline and the training step make it."""

import contextlib
import itertools
import os
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from mobilenet.data.datasets import open_split
from mobilenet.data.of_config import eval_batches, train_batches
from mobilenet.errors import ConfigError, UserError
from mobilenet.figures.style import check_ending, new_figure, save_figure, styled
from mobilenet.tasks.choose import choose_task
from mobilenet.tasks.classification.mixing import Mixture
from mobilenet.tasks.task import split_key
from mobilenet.training.initial_weights import settle_config
from mobilenet.training.step import micro_batch_key, split_batch, step_key

# Inches, and letters of a caption that fit in a picture's width.
_PICTURE_WIDTH = 1.35
_LETTERS = 19


def show_batch(
    config: ml_collections.ConfigDict,
    out: str | os.PathLike[str],
    *,
    split: str = "train",
    step: int = 0,
    max_images: int = 32,
) -> int:
    """Draws the first images of a batch, with their labels, to a file.

    With gradient accumulation the micro-batches follow each other, for images are mixed within one.

    Args:
      config: complete, as those of `configs/`.
      out: the file; it ends in .png, .svg or .pdf.
      split: `train` or `eval`.
      step: which batch, from 0; of evaluation, which one of a pass.
      max_images: how many images to draw.

    Returns:
      How many images were drawn.

    Raises:
      UserError: a wrong config, no such batch, or a file that cannot be written.
    """
    check_ending(out)
    config = settle_config(config)
    if step < 0 or max_images < 1:
        raise UserError("--step must be at least 0 and --max_images at least 1.")
    images, captions = (_train_pictures if split == "train" else _eval_pictures)(config, step)
    images, captions = images[:max_images], captions[:max_images]
    title = f"{config.data.name}, {split}, batch {step} of seed {config.seed}"
    if split != "train":
        title = f"{config.data.name}, {split}, batch {step}"
    save_figure(_draw(images, captions, title, _describe(config, split)), out)
    return len(images)


Pictures = tuple[UInt8[np.ndarray, "n h w 3"], list[str]]


def _train_pictures(config: ml_collections.ConfigDict, step: int) -> Pictures:
    task, parts = choose_task(config), config.optimizer.accumulation_steps
    if parts < 1 or config.batch_size % parts:
        raise ConfigError(
            f"config.batch_size={config.batch_size} must be a multiple of "
            f"config.optimizer.accumulation_steps={parts}."
        )
    split = open_split(config.data, config.data.train_split)
    batches: Any = train_batches(config, split, task.target, start_step=step)
    with contextlib.closing(batches):
        batch = jax.tree.map(jnp.asarray, next(batches))
    key = step_key(config.seed, step)
    prepare = jax.jit(task.prepare)
    pictures, captions = [], []
    for index in range(parts):
        micro = jax.tree.map(lambda x, i=index: x[i], split_batch(batch, parts))
        micro_key = key if parts == 1 else micro_batch_key(key, index)
        prepared = prepare(micro, split_key(micro_key))
        pictures.append(_to_pixels(prepared["images"], config))
        names = ("labels", "mask", *(name for name in Mixture._fields if name in prepared))
        for row in zip(*(np.asarray(prepared[name]).tolist() for name in names), strict=True):
            captions.append(_caption(split.class_names, *row))
    return np.concatenate(pictures), captions


def _eval_pictures(config: ml_collections.ConfigDict, step: int) -> Pictures:
    split = open_split(config.data, config.data.eval_split)
    batches: Any = eval_batches(config, split, choose_task(config).target)
    with contextlib.closing(batches):
        batch = next(itertools.islice(batches, step, None), None)
    if batch is None:
        raise UserError(f"--step={step} is behind the last batch of {split.split}.")
    captions = [
        _caption(split.class_names, label, mask)
        for label, mask in zip(batch["labels"].tolist(), batch["mask"].tolist(), strict=True)
    ]
    return batch["images"], captions


def _to_pixels(
    images: jax.Array, config: ml_collections.ConfigDict
) -> UInt8[np.ndarray, "n h w 3"]:
    """Undoes the normalisation of what the network is given."""
    pixels = np.asarray(images) * np.float32(config.augment.stddev)
    pixels += np.float32(config.augment.mean)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _caption(
    names: tuple[str, ...], label: int, mask: float, other: int = 0, share: float = 1.0
) -> str:
    if not mask:
        return "(weighs nothing)"
    if share == 1:
        return _shorten(names[label])
    return f"{_shorten(names[label], 5)} {share:.2f}\n{_shorten(names[other], 5)} {1 - share:.2f}"


def _shorten(name: str, taken: int = 0) -> str:
    letters = _LETTERS - taken
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _describe(config: ml_collections.ConfigDict, split: str) -> str:
    if split != "train":
        return f"Crop: {config.data.eval_crop}."
    changes = [f"crop {config.data.train_crop}"]
    changes += [f"{key} {value}" for key, value in config.augment.items() if _is_on(key, config)]
    return f"As drawn for this step: {', '.join(changes)}.".replace("_", " ")


def _is_on(key: str, config: ml_collections.ConfigDict) -> bool:
    augment = config.augment
    if key in ("mean", "stddev"):
        return False
    if key.startswith("rand_"):
        return augment.policy == "rand"
    if key == "mix_probability":
        return bool(augment.mixup_alpha or augment.cutmix_alpha)
    return augment[key] not in (False, 0, "none")


@styled
def _draw(
    images: UInt8[np.ndarray, "n h w 3"], captions: list[str], title: str, caption: str
) -> Figure:
    columns = min(len(images), 8)
    rows = -(-len(images) // columns)
    lines = max(text.count("\n") + 1 for text in captions)
    size = (max(columns * _PICTURE_WIDTH, 4), rows * (_PICTURE_WIDTH + 0.15 * lines) + 0.8)
    figure = new_figure(*size, title=title, caption=caption)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place in places:
        place.axis("off")
    for place, image, text in zip(places, images, captions, strict=False):
        place.imshow(image, interpolation="nearest")
        place.set_title(text, fontsize=7, pad=2)
    return figure
