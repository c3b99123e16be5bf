"""Evaluates a run on a full split: python eval.py --workdir=runs/cifar10 --split=test

Prints the accuracy and appends it to evaluations.jsonl in the run directory. A network of ImageNet
is also evaluated on its other test sets, by --data=imagenet_v2 and --data=imagenet2012_real.

Published weights need no run, and see images as their publisher's do unless flags say otherwise:
python eval.py --weights=torchvision --model=mobilenet_v2_100 --data=imagenet2012
"""

from mobilenet.huge_pages import use_huge_pages

if __name__ == "__main__":
    use_huge_pages()  # It starts this program again: before the imports that take seconds.

from absl import flags

from configs import base
from mobilenet.entry_point import run
from mobilenet.errors import UserError
from mobilenet.per_class import format_per_class
from mobilenet.training.evaluate_run import evaluate_run, format_evaluation
from mobilenet.weights.evaluate import Seeing, evaluate_pretrained, format_pretrained

_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory.")
_DATA = flags.DEFINE_string("data", None, "Dataset with the same classes; default: the run's own.")
_SPLIT = flags.DEFINE_string("split", None, "Such as test or minival; default: the run's own.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "last", "last, best or the number of a step.")
_EMA = flags.DEFINE_bool("ema", None, "Moving average or raw weights; default: as in training.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Images at a time; default: the run's own.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the data lies; default: the run's own.")
_PER_CLASS = flags.DEFINE_bool("per_class", False, "Also by class, and the most confused classes.")

_WEIGHTS = flags.DEFINE_string(
    "weights", None, "torchvision, timm, keras, slim or transformers; a local file: timm:FILE."
)
_MODEL = flags.DEFINE_string("model", None, "Network of the weights, such as mobilenet_v2_100.")
_RESOLUTION = flags.DEFINE_integer("resolution", None, "Pixels; default: the weights' own.")
_CROP = flags.DEFINE_string(
    "eval_crop", None, "center, central_fraction or window; default: the source's."
)
_FRACTION = flags.DEFINE_float("eval_fraction", None, "As in config.data; default: the source's.")
_INTERPOLATION = flags.DEFINE_string("interpolation", None, "As in config.data; the source's.")

_OF_RUNS = (_WORKDIR, _CHECKPOINT, _EMA, _PER_CLASS)
_OF_WEIGHTS = (_WEIGHTS, _MODEL, _RESOLUTION, _CROP, _FRACTION, _INTERPOLATION)


def main() -> None:
    workdir, weights = _WORKDIR.value, _WEIGHTS.value
    others, kind = (_OF_WEIGHTS, "workdir") if workdir else (_OF_RUNS, "weights")
    for flag in others:
        if flag.present and (workdir or weights):
            raise UserError(f"--{flag.name} has no meaning with --{kind}: leave it out.")
    if weights:
        _evaluate_weights(weights)
    elif workdir:
        _evaluate_run(workdir)
    else:
        raise UserError("Either --workdir=DIR names a run, or --weights=SOURCE published weights.")


def _evaluate_weights(weights: str) -> None:
    model, data = _MODEL.value, _DATA.value
    if model is None or data is None:
        raise UserError("--weights needs --model and --data: which network, on which dataset.")
    result = evaluate_pretrained(
        base.get_config(),
        weights,
        model,
        data=data,
        split=_SPLIT.value,
        batch_size=_BATCH_SIZE.value,
        data_dir=_DATA_DIR.value,
        seeing=Seeing(_RESOLUTION.value, _CROP.value, _FRACTION.value, _INTERPOLATION.value),
    )
    print(format_pretrained(result))


def _evaluate_run(workdir: str) -> None:
    result = evaluate_run(
        workdir,
        data=_DATA.value,
        split=_SPLIT.value,
        checkpoint=_CHECKPOINT.value,
        ema=_EMA.value,
        batch_size=_BATCH_SIZE.value,
        data_dir=_DATA_DIR.value,
        per_class=_PER_CLASS.value,
    )
    if "per_class" in result:
        print(format_per_class(result["per_class"]), end="\n\n")
    print(format_evaluation(result))


if __name__ == "__main__":
    run(main)
