"""Evaluates every width and resolution of published weights beside the publisher's accuracies.

    python scripts/reproduce_tradeoff.py --source=keras --data=imagenet2012 --data_dir=DIR \\
        --out=results/keras.jsonl
    python scripts/plot.py tradeoff --runs=results/keras.jsonl --out=tradeoff.svg

Started again, it goes on where it was: what the file has is not evaluated again. Weights that
cannot be had are named at the end, with status 1. Downloads go to ~/.cache/mobilenet; with
--weights_dir files are taken from there, under the publisher's names, and nothing is downloaded.
"""

import sys

from absl import flags

from mobilenet import config as base
from mobilenet.evaluation.reproduce import reproduce_tradeoff
from mobilenet.runtime.entry_point import run

_SOURCE = flags.DEFINE_string(
    "source", None, "torchvision, timm, keras, slim or transformers.", required=True
)
_DATA = flags.DEFINE_string(
    "data", None, "Dataset with ImageNet's classes, or some of them.", required=True
)
_OUT = flags.DEFINE_string("out", None, "The .jsonl file of results.", required=True)
_SPLIT = flags.DEFINE_string("split", None, "Default: validation or test, or the only one.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the data lies; default: TFDS's own.")
_WEIGHTS_DIR = flags.DEFINE_string("weights_dir", None, "Where the publisher's files lie.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Images at a time; default: the config's.")


def main() -> int:
    missing = reproduce_tradeoff(
        base.get_config(),
        _SOURCE.value,
        _DATA.value,
        _OUT.value,
        split=_SPLIT.value,
        batch_size=_BATCH_SIZE.value,
        data_dir=_DATA_DIR.value,
        weights_dir=_WEIGHTS_DIR.value,
        command=sys.argv,
    )
    for sentence in missing:
        print(f"not evaluated: {sentence}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    run(main)
