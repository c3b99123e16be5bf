"""Evaluates a run on a full split: python eval.py --workdir=runs/cifar10 --split=test

Prints the accuracy and appends it to evaluations.jsonl in the run directory. A network of ImageNet
is also evaluated on its other test sets, by --data=imagenet_v2 and --data=imagenet2012_real.

Published weights need no run, and see images as their publisher's do unless flags say otherwise:
python eval.py --weights=torchvision --model=mobilenet_v2_100 --data=imagenet2012
"""

from mobilenet.runtime.huge_pages import use_huge_pages

if __name__ == "__main__":
    use_huge_pages()  # It starts this program again: before the imports that take seconds.

from absl import flags

from mobilenet.evaluation.by_flags import evaluate_by_flags
from mobilenet.runtime.agreement import is_first
from mobilenet.runtime.entry_point import run
from mobilenet.runtime.hosts import joined_hosts

_FLAGS = (
    flags.DEFINE_string("workdir", None, "Run directory."),
    flags.DEFINE_string("data", None, "Dataset with the same classes; default: the run's own."),
    flags.DEFINE_string("split", None, "Such as test or minival; default: the run's own."),
    flags.DEFINE_string("checkpoint", "last", "last, best or the number of a step."),
    flags.DEFINE_bool("ema", None, "Moving average or raw weights; default: as in training."),
    flags.DEFINE_integer("batch_size", None, "Images at a time; default: the run's own."),
    flags.DEFINE_string("data_dir", None, "Where the data lies; default: the run's own."),
    flags.DEFINE_bool("per_class", False, "Also by class, and the most confused classes."),
    flags.DEFINE_string(
        "weights", None, "torchvision, timm, keras, slim or transformers; a local file: timm:FILE."
    ),
    flags.DEFINE_string("model", None, "Network of the weights, such as mobilenet_v2_100."),
    flags.DEFINE_integer("resolution", None, "Pixels; default: the weights' own."),
    flags.DEFINE_string(
        "eval_crop", None, "center, central_fraction or window; default: the source's."
    ),
    flags.DEFINE_float("eval_fraction", None, "As in config.data; default: the source's."),
    flags.DEFINE_string("interpolation", None, "As in config.data; default: the source's."),
)


def main() -> None:
    given = {flag.name: flag.value for flag in _FLAGS if flag.present}
    with joined_hosts():
        answer = evaluate_by_flags(given)
        if is_first():
            print(answer)


if __name__ == "__main__":
    run(main)
