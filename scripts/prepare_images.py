"""Turns a folder or tar of images into a TFDS dataset that `config.data.name` can name.

    python scripts/prepare_images.py --input=photos.tar --name=photos --data_dir=datasets
    python train.py --config=configs/cifar10.py --config.data.name=photos \\
        --config.data.data_dir=datasets

The input holds split/class/image.jpg (or .jpeg, .png), for example train/cat/1.jpg. All images are
decoded once; if any cannot be, all such are named, nothing is written, and the status is 1.
"""

from absl import flags

from mobilenet.data.prepare.image_folder import prepare_image_folder
from mobilenet.errors import os_errors_explained
from mobilenet.runtime.entry_point import run

_INPUT = flags.DEFINE_string("input", None, "A folder, or a tar.", required=True)
_NAME = flags.DEFINE_string("name", None, "Lower case, digits and underscores.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "The folder of all datasets.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a dataset of this name.")


def main() -> None:
    with os_errors_explained(f"make a dataset of {_INPUT.value} in {_DATA_DIR.value}"):
        summary = prepare_image_folder(
            _INPUT.value, _NAME.value, _DATA_DIR.value, overwrite=_OVERWRITE.value
        )
    if summary.ignored:
        names = ", ".join(summary.ignored[:5])
        print(f"Ignored {len(summary.ignored)} files outside of class folders: {names}")
    counts = ", ".join(f"{count} {split}" for split, count in summary.num_examples.items())
    print(f"Wrote {summary.directory}: {counts} images of {len(summary.class_names)} classes.")


if __name__ == "__main__":
    run(main)
