"""Compiles the steps of a config for a slice of TPUs, without a TPU, and prints what they cost.

    pip install -e ".[tpu]"
    python scripts/compile_ahead.py --config=configs/imagenet_v2.py --topology=v5e:4x4 \
        --batch_per_chip=128 --config.model.norm_group_size=128 --format=json
    python scripts/compile_ahead.py --config=configs/imagenet_v2.py --topology=v5e:2x2 \
        --steps=train --baseline=flax

Per chip: HBM needed and whether it fits, floating-point operations, bytes accessed, collectives by
kind, the images/s that the chip's bandwidth and peak allow at most, and the seconds of compilation.
These are properties of programs; how fast a TPU runs them is not measured here.

--config.batch_size is global, as in training: the recipe's batch, split over the chips. With
--batch_per_chip it, and that of evaluation, are so many images for each chip, and what the config
derives from its batch size, such as the learning rate, follows. --baseline=flax also compiles the
training step of a plain Flax network with the same recipe. A step takes minutes to compile.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for benchmarks/

from absl import flags
from ml_collections import config_flags

from benchmarks.plain_step import build_plain_step
from mobilenet.ahead.bounds import format_report, make_report
from mobilenet.ahead.compile import STEPS, compile_steps, set_batch_per_chip
from mobilenet.ahead.topology import describe_slice
from mobilenet.runtime.entry_point import run

_CONFIG = config_flags.DEFINE_config_file("config", help_string="Config file of the experiment.")
_TOPOLOGY = flags.DEFINE_string("topology", "v5e:4x4", "Slice, such as v5e:4x4 or v4:2x2x2.")
_BATCH_PER_CHIP = flags.DEFINE_integer(
    "batch_per_chip", None, "Images of each chip; by default what the config's batches give.", 1
)
_STEPS = flags.DEFINE_multi_enum("steps", STEPS, STEPS, "What to compile.")
_BASELINE = flags.DEFINE_enum("baseline", None, ["flax"], "What to compile beside it.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "What to print.")
flags.mark_flag_as_required("config")


def main() -> None:
    chips = describe_slice(_TOPOLOGY.value)
    config = _CONFIG.value
    if _BATCH_PER_CHIP.value is not None:
        set_batch_per_chip(config, _BATCH_PER_CHIP.value, len(chips.devices))
    baselines = {_BASELINE.value: build_plain_step} if _BASELINE.value else {}
    costs = compile_steps(
        config, chips, tuple(_STEPS.value), lambda line: print(line, file=sys.stderr), baselines
    )
    report = make_report(chips, costs)
    print(json.dumps(report) if _FORMAT.value == "json" else format_report(report))


if __name__ == "__main__":
    run(main)
