"""Evaluates a run on a full split: python eval.py --workdir=runs/cifar10 --split=test

Prints the accuracy and appends it to evaluations.jsonl in the run directory.
"""

from mobilenet.huge_pages import use_huge_pages

if __name__ == "__main__":
    use_huge_pages()  # It starts this program again: before the imports that take seconds.

from absl import flags

from mobilenet.entry_point import run
from mobilenet.training.evaluate_run import evaluate_run

_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory.", required=True)
_SPLIT = flags.DEFINE_string("split", None, "Part of the data; default: the run's own.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "last", "last, best or the number of a step.")
_EMA = flags.DEFINE_bool("ema", None, "Moving average or raw weights; default: as in training.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Images at a time; default: the run's own.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the data lies; default: the run's own.")


def main() -> None:
    result = evaluate_run(
        _WORKDIR.value,
        split=_SPLIT.value,
        checkpoint=_CHECKPOINT.value,
        ema=_EMA.value,
        batch_size=_BATCH_SIZE.value,
        data_dir=_DATA_DIR.value,
    )
    print(
        f"top-1 {result['top1']:.2%}  top-5 {result['top5']:.2%}  loss {result['loss']:.4f}  "
        f"{result['num_images']:,} images of {result['split']}, step {result['step']:,}, "
        f"{result['weights']} weights, {result['images_per_second']:.0f} images/s"
    )


if __name__ == "__main__":
    run(main)
