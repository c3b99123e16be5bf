"""Draws a batch as the network sees it, augmented and with its labels.

    python scripts/show_batch.py --config=configs/cifar10.py --out=batch.png
    python scripts/show_batch.py --config=configs/cifar10.py --config.augment.mixup_alpha=0.2 \
        --step=100 --out=batch.png
    python scripts/show_batch.py --config=configs/cifar10.py --split=eval --out=batch.png

It is the batch of that step of a training run with this config: same images, same random numbers.
"""

from absl import flags
from ml_collections import config_flags

from mobilenet.figures.show_batch import show_batch
from mobilenet.runtime.entry_point import run

_CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file of the experiment.")
_OUT = flags.DEFINE_string(
    "out", None, "The picture; it ends in .png, .svg or .pdf.", required=True
)
_SPLIT = flags.DEFINE_enum("split", "train", ["train", "eval"], "Training or evaluation.")
_STEP = flags.DEFINE_integer("step", 0, "Which batch, from 0.")
_MAX_IMAGES = flags.DEFINE_integer("max_images", 32, "How many images to draw.")
flags.mark_flag_as_required("config")


def main() -> None:
    number = show_batch(
        _CONFIG.value,
        _OUT.value,
        split=_SPLIT.value,
        step=_STEP.value,
        max_images=_MAX_IMAGES.value,
    )
    print(f"Wrote {number} images to {_OUT.value}.")


if __name__ == "__main__":
    run(main)
