"""Turns ImageNet 2012 into the TFDS dataset `imagenet2012/5.1.0` in ArrayRecord form.

    python scripts/prepare_imagenet.py --input=downloads --data_dir=datasets

Then train with --config.data.name=imagenet2012 --config.data.data_dir=datasets.

The input is a folder with one of
  ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, as image-net.org has them;
  train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, or a flat val/*.JPEG;
  a preparation of imagenet2012 by TFDS in TFRecord form.
Needs no TensorFlow and no space beside the result's, 150 GB. All is checked as far as can be done
in minutes before anything is written. Start the same command again after a kill: finished files are
kept. TFDS reads the result by
tfds.builder("imagenet2012", data_dir=..., file_format="array_record").as_data_source().
"""

from absl import flags

from mobilenet.data.prepare.imagenet.prepare import prepare_imagenet
from mobilenet.errors import UserError
from mobilenet.runtime.entry_point import run

_INPUT = flags.DEFINE_string("input", None, "The folder with ImageNet 2012.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "The folder of all datasets.", required=True)
_VAL_LABELS = flags.DEFINE_string(
    "val_labels",
    None,
    "The classes of a validation set without class folders, one (n01440764) a line in the order of "
    "the sorted file names. Not needed where the file names are the official ones.",
)
_ALLOW_PARTIAL = flags.DEFINE_bool("allow_partial", False, "Take fewer images than there are.")
_KEEP_DAMAGED = flags.DEFINE_bool(
    "keep_damaged", False, "Store images that cannot be decoded as they are, and count them."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an existing imagenet2012.")
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", None, "Processes; by default one a processor.", lower_bound=1
)


def main() -> int:
    try:
        summary = prepare_imagenet(
            _INPUT.value,
            _DATA_DIR.value,
            val_labels=_VAL_LABELS.value,
            allow_partial=_ALLOW_PARTIAL.value,
            keep_damaged=_KEEP_DAMAGED.value,
            overwrite=_OVERWRITE.value,
            num_workers=_NUM_WORKERS.value,
        )
    except OSError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(str(error)) from error
    except KeyboardInterrupt:
        print("Stopped: start the same command again to go on; finished files are kept.")
        return 130
    counts = ", ".join(f"{count} {split}" for split, count in summary.num_examples.items())
    print(f"Wrote {summary.directory}: {counts} images, {summary.converted} encoded again as RGB.")
    if summary.damaged:
        print(f"{summary.damaged} images are damaged and were kept as they are.")
    return 0


if __name__ == "__main__":
    run(main)
