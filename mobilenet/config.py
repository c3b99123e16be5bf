"""Every key that the code reads, with its default. The other configs start from this one.

Lengths carry their unit: of `x_epochs` and `x_steps` exactly one may be set, the other stays None.
Keys made by `_optional` can be set back to None on the command line, which replaces a length given
in one unit by one in the other: `--config.total_epochs=None --config.total_steps=100`.
"""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from absl import logging
from ml_collections import config_dict
from ml_collections.config_dict import ConfigDict

from mobilenet.errors import ConfigError, UserError


def _optional(value: Any = None) -> config_dict.FieldReference:
    # ml_collections parses None on the command line only for fields without a type; the code that
    # reads such a key checks its type instead.
    return config_dict.FieldReference(value, field_type=object)


def get_config() -> ConfigDict:
    """Returns the complete, locked default configuration: MobileNetV2 1.0 on ImageNet at 224."""
    config = ConfigDict()
    config.seed = 0
    config.task = "classification"  # what is asked of the network: mobilenet/tasks/choose.py
    config.batch_size = 256  # images per step, over all devices and hosts
    config.total_epochs = _optional()
    config.total_steps = _optional()

    # Published weights, as SOURCE[/LABEL][:FILE] (mobilenet/weights/pretrained.py), or run:DIR, the
    # last checkpoint of another run; None: random ones.
    config.initial_weights = _optional()

    # None is what the initial weights were trained with, or the network's own default
    # (mobilenet/networks/architecture.py); a knob that the network does not have must stay None.
    config.model = model = ConfigDict()
    model.name = "mobilenet_v2"
    model.width = 1.0
    model.resolution = _optional(224)  # pixels, of a square input, or (height, width)
    model.expansion = config_dict.placeholder(float)  # V2: t
    model.bottleneck = config_dict.placeholder(str)  # V2: linear | relu6
    model.shortcut = config_dict.placeholder(str)  # V2: bottleneck | expansion | none
    model.convolution = config_dict.placeholder(str)  # V1: separable | full
    model.depth = config_dict.placeholder(str)  # V1: full | shallow
    model.head = config_dict.placeholder(int)  # V1: channels of a last 1x1 convolution; 0: none
    model.depth_multiplier = config_dict.placeholder(float)  # V2: of the repeats, rounded up
    model.activation = config_dict.placeholder(str)  # relu6 | relu
    model.padding = config_dict.placeholder(str)  # same | symmetric
    model.stem_stride = config_dict.placeholder(int)  # 2 | 1
    model.output_stride = config_dict.placeholder(int)  # 32 | 16 | 8
    model.dropout = config_dict.placeholder(float)  # share of features dropped before the logits
    model.norm_epsilon = config_dict.placeholder(float)
    model.norm_momentum = config_dict.placeholder(float)  # share of the old statistics kept
    model.norm_group_size = config_dict.placeholder(int)  # images; None: the whole global batch
    config.compute_dtype = "bfloat16"  # parameters, statistics, logits and loss stay float32
    # V2: TPU kernels for expansions and the depthwise convolutions behind them (docs/tpu.md). They
    # were compiled for TPUs and tested in an interpreter, but never run on one.
    config.fused_expansions = False

    config.data = data = ConfigDict()
    data.name = "imagenet2012"  # any TFDS dataset with `image` and `label`
    data.data_dir = config_dict.placeholder(str)  # None: TFDS's own default
    # In TFDS's notation, or minival, the last 1 % of train, and train_without_minival, the rest.
    data.train_split = "train"
    data.eval_split = "validation"
    data.train_resolution = _optional()  # pixels; None: model.resolution
    data.train_crop = "inception"  # inception | pad_crop | none
    data.crop_area = (0.05, 1.0)  # inception: share of the image
    data.crop_aspect = (0.75, 4 / 3)  # inception: width / height
    data.crop_padding = 4  # pad_crop: pixels on each side, at the network's resolution
    data.eval_crop = "center"  # center | central_fraction | window (not resized)
    data.eval_fraction = 0.875  # center: resolution / resized short side; else the share kept
    data.decoder = "simplejpeg"  # simplejpeg | opencv
    # bilinear | bicubic | area; as many publishers evaluate: pillow_bilinear | pillow_bicubic
    data.interpolation = "bilinear"
    data.on_corrupt = "raise"  # raise | skip (and count)
    data.num_threads = 2
    data.num_workers = 0  # processes; 0 reads in threads of this one
    data.prefetch_batches = 4
    data.fake = False  # random images, to measure speed or try a config where the data are not
    # fake: numbers of classes and of images in every split; None: the dataset's, if it is known.
    data.fake_classes = config_dict.placeholder(int)
    data.fake_examples = config_dict.placeholder(int)

    config.augment = augment = ConfigDict()
    augment.flip = True
    augment.policy = "none"  # none | trivial_wide | rand: by the pipeline, all else on the device
    augment.rand_layers = 2  # rand: operations on each image
    augment.rand_magnitude = 9  # rand: 0 to 30
    augment.color = "none"  # none | slim_fast (brightness and saturation)
    augment.erase_probability = 0.0  # that a rectangle of an image becomes the mean colour
    augment.mixup_alpha = 0.0  # of the Beta distribution; 0.0: off
    augment.cutmix_alpha = 0.0  # of the Beta distribution; 0.0: off; both on: either, by a coin
    augment.mix_probability = 1.0  # that a batch is mixed, where either is on
    # Of pixel values in 0..255; None: as the initial weights want it, else 127.5.
    augment.mean = _optional((127.5, 127.5, 127.5))
    augment.stddev = _optional((127.5, 127.5, 127.5))

    config.optimizer = optimizer = ConfigDict()
    optimizer.name = "rmsprop"  # sgd | rmsprop | adamw
    optimizer.momentum = 0.9  # sgd, rmsprop
    optimizer.nesterov = False  # sgd
    optimizer.rms_decay = 0.9  # rmsprop
    # rmsprop: inside the root, None is 1.0; adamw: outside the root, None is 1e-8.
    optimizer.epsilon = _optional()
    optimizer.beta1 = 0.9  # adamw
    optimizer.beta2 = 0.999  # adamw
    optimizer.weight_decay = 4e-5
    optimizer.weight_decay_on = "dense_kernels"  # all | kernels | dense_kernels (not depthwise)
    optimizer.clip_norm = _optional()  # of the global gradient
    # Learning rate of all before the classifier, as a share of the schedule's; 0.0 freezes it.
    optimizer.body_rate = 1.0
    optimizer.accumulation_steps = 1  # micro-batches per step

    config.schedule = schedule = ConfigDict()
    schedule.name = "exponential"  # constant | exponential | cosine
    schedule.learning_rate = 0.045  # the peak
    schedule.warmup_epochs = _optional()
    schedule.warmup_steps = _optional()
    schedule.decay_factor = 0.98  # exponential: factor at every decay length
    schedule.decay_epochs = _optional(1.0)  # exponential
    schedule.decay_steps = _optional()
    schedule.staircase = True  # exponential: by steps, not continuously
    schedule.final_learning_rate = 0.0  # cosine: where it ends

    config.label_smoothing = 0.1
    config.ema_decay = _optional()  # None: no moving average; else it is evaluated

    config.evaluation = evaluation = ConfigDict()
    evaluation.batch_size = 256
    evaluation.every_epochs = _optional(1.0)
    evaluation.every_steps = _optional()

    config.checkpoint = checkpoint = ConfigDict()
    checkpoint.every_epochs = _optional(1.0)
    checkpoint.every_steps = _optional()
    checkpoint.keep = 3  # the last ones; the best is kept besides

    config.log = log = ConfigDict()
    log.every_steps = 100
    log.tensorboard = True
    return config.lock()


def size_of(resolution: int | Sequence[int]) -> tuple[int, int]:
    """Returns height and width of a resolution: the side of a square, or (height, width)."""
    if isinstance(resolution, Sequence):
        height, width = resolution
        return height, width
    return resolution, resolution


def train_size(config: ConfigDict) -> tuple[int, int]:
    """Returns height and width of training images: of `data.train_resolution`, or the network's.

    Raises:
      ConfigError: `data.train_resolution` is neither a side nor a height and a width.
    """
    resolution = config.data.train_resolution
    if resolution is None:
        return size_of(config.model.resolution)
    sides = resolution if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(sides) != 2 or any(type(side) is not int or side < 1 for side in sides):
        raise ConfigError(
            f"config.data.train_resolution is {resolution!r}: it must be a number of pixels, or a "
            "height and a width such as (160, 128)."
        )
    return size_of(resolution)


def check_finite(config: ConfigDict) -> None:
    """Raises ConfigError if a number of a config is not finite."""

    def check(key: str, value: Any) -> None:
        if isinstance(value, ConfigDict):
            for name, item in value.items():
                check(f"{key}.{name}", item)
        elif isinstance(value, (tuple, list)):
            for item in value:
                check(key, item)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key} is {value}: it must be a finite number.")

    check("config", config)


def check_numbers(config: ConfigDict) -> None:
    """Checks what no number of a config may be, and the scale of pixels.

    Raises:
      ConfigError: a number is not finite, or a mean or a deviation of pixels is not three numbers,
        the latter above 0.
    """
    check_finite(config)
    for key in ("mean", "stddev"):
        value = config.augment[key]
        is_color = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3
        if not is_color or any(isinstance(x, bool) or not isinstance(x, Real) for x in value):
            raise ConfigError(
                f"config.augment.{key} is {value!r}: it must be three numbers, one a channel, for "
                "pixels from 0 to 255, such as (127.5, 127.5, 127.5)."
            )
    stddev = config.augment.stddev
    if min(stddev) <= 0:
        raise ConfigError(f"config.augment.stddev is {tuple(stddev)}: it must be above 0.")
    if min(stddev) < 1:
        logging.warning(
            "config.augment.stddev is %s, which is small for pixels from 0 to 255: multiply mean "
            "and deviation by 255 if they are for pixels from 0 to 1.",
            tuple(stddev),
        )


def with_variant(config: ConfigDict, variant: str) -> ConfigDict:
    """Returns the variant of a config that stands after the colon of `--config=FILE:VARIANT`.

    Raises:
      UserError: it is neither empty nor `smoke`.
    """
    if variant not in ("", "smoke"):
        # Not a ConfigError, which is a ValueError: ml_collections puts a traceback before those.
        raise UserError(
            f"The config has no variant {variant!r}: leave out the colon and what follows it, or "
            "write :smoke for a run of two steps."
        )
    return smoke(config) if variant else config


def smoke(config: ConfigDict) -> ConfigDict:
    """Shortens any config to a run of two steps, which shows whether the recipe runs at all.

    Everything else stays, so that the run takes the paths through the code that the recipe takes.
    Sets these keys, and returns the same config:

    - `batch_size`: 8 times `optimizer.accumulation_steps`; more than 8 devices need more. What
      refers to it, such as the learning rate, follows.
    - `total_steps`: 2, and `total_epochs`: None
    - `schedule.warmup_steps`: 1, and `schedule.warmup_epochs`: None, if there is a warm-up
    - `evaluation.every_steps`, `checkpoint.every_steps`: 2, and their `every_epochs`: None
    - `evaluation.batch_size`: 8
    - `data.eval_split`: its first 16 images, unless it is a slice or a sum already; the last 16 of
      `train` for `minival`
    - `model.norm_group_size`: 1, if it is set
    - `log.every_steps`: 1
    """
    config.batch_size = 8 * config.optimizer.accumulation_steps
    lengths = [(config, "total", 2), (config.evaluation, "every", 2)]
    lengths.append((config.checkpoint, "every", 2))
    if config.schedule.warmup_epochs or config.schedule.warmup_steps:
        lengths.append((config.schedule, "warmup", 1))
    for section, name, steps in lengths:
        section[f"{name}_epochs"], section[f"{name}_steps"] = None, steps
    config.evaluation.batch_size = 8
    split = config.data.eval_split
    if split == "minival":
        config.data.eval_split = "train[-16:]"
    elif split.isidentifier():
        config.data.eval_split = f"{split}[:16]"
    if config.model.norm_group_size:
        config.model.norm_group_size = 1
    config.log.every_steps = 1
    return config
