"""Converts weights to a file that torchvision, timm or Keras loads.

    python scripts/convert_weights.py --from=runs/cifar10 --checkpoint=best --to=keras \\
        --out=cifar10.h5
    python scripts/convert_weights.py --from=torchvision --model=mobilenet_v2_100 --to=timm \\
        --out=mobilenet_v2.safetensors
    python scripts/convert_weights.py --from=slim:mobilenet_v1_1.0_224.tgz \\
        --model=mobilenet_v1_100 --to=keras --out=mobilenet_v1.h5

Prints the Python that loads the file. None of the libraries need be installed. Weights whose logits
the other library's network would not give, such as those of another padding, are refused.
"""

from absl import flags

from mobilenet.runs.weights import load_run_or_weights
from mobilenet.runtime.entry_point import run
from mobilenet.weights.convert import convert

_FROM = flags.DEFINE_string(
    "from", None, "A run directory, or weights as in eval.py --weights.", required=True
)
_TO = flags.DEFINE_string("to", None, "torchvision, timm or keras.", required=True)
_OUT = flags.DEFINE_string("out", None, "The file to write.", required=True)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Of a run: last (the default), best or a step."
)
_EMA = flags.DEFINE_bool("ema", None, "Of a run: moving average or raw weights; as in training.")
_MODEL = flags.DEFINE_string("model", None, "Of weights: the network, such as mobilenet_v2_100.")
_NUM_CLASSES = flags.DEFINE_integer(
    "num_classes", None, "Of weights: how many the file has, if not ImageNet's; 0 leaves them out."
)
_RESOLUTION = flags.DEFINE_integer(
    "resolution", None, "Of weights: pixels, if not the publisher's."
)


def main() -> None:
    pretrained = load_run_or_weights(
        _FROM.value,
        checkpoint=_CHECKPOINT.value,
        ema=_EMA.value,
        model=_MODEL.value,
        num_classes=_NUM_CLASSES.value,
        resolution=_RESOLUTION.value,
    )
    print(convert(pretrained, _TO.value, _OUT.value))


if __name__ == "__main__":
    run(main)
