"""Times this package and its peers, in turn within one run.

    python scripts/benchmark.py train_step --model=mobilenet_v2 --resolution=224 --batch_size=32
    python scripts/benchmark.py inference --peers=torch,onnxruntime --rounds=9 --format=json
    python scripts/benchmark.py input --data=photos --data_dir=datasets --source_size=500x375
    python scripts/benchmark.py compile --model=mobilenet_v1 --rounds=3

train_step: forward, backward and SGD with momentum on a fixed batch of random images.
inference: float32 images to logits.
input: JPEG files in ArrayRecord form to batches of random crops; scripts/prepare_images.py makes
    such a dataset of photographs.
compile: train.py from the start of its process to its first finished step, with an empty and with
    a full compilation cache. It has no peers.

Every contender is built and warmed up in a fresh process of its own, which sleeps while another one
is timed, so all have the same threads and the same disturbances. A ratio compares two measurements
that follow each other. `pip install -e ".[bench]"` installs the peers; those that are missing are
named and left out. For CPU and GPU; a TPU serves one process at a time.
"""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for benchmarks/

from absl import flags

from benchmarks.findings import format_report
from benchmarks.suite import run_compile, run_input, run_steps
from benchmarks.workload import InputWorkload, StepWorkload, use_threads
from mobilenet.errors import UserError
from mobilenet.networks.architecture import create_architecture
from mobilenet.runtime.entry_point import run

_MODEL = flags.DEFINE_string("model", "mobilenet_v2", "Network, such as mobilenet_v1_050.")
_WIDTH = flags.DEFINE_float("width", None, "Width multiplier, if the name does not hold it.")
_DTYPE = flags.DEFINE_enum("compute_dtype", "float32", ["float32", "bfloat16"], "Compute type.")
_RESOLUTION = flags.DEFINE_integer("resolution", 224, "Pixels, the side of the square input.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.", 1)
_PEERS = flags.DEFINE_list(
    "peers", None, "Contenders beside ours; by default all that the benchmark has."
)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements beside every peer.", 1)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "The least duration of a measurement.", 0.0)
_THREADS = flags.DEFINE_integer(
    "threads", None, "Processors that every process is bound to; by default all there are.", 1
)
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "What to print.")
_DATA = flags.DEFINE_string("data", None, "Name of a dataset of photographs.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "The folder of all datasets; TFDS's by default.")
_SPLIT = flags.DEFINE_string("split", "train", "Part of the dataset, such as train[:1000].")
_SOURCE_SIZE = flags.DEFINE_string(
    "source_size",
    None,
    "Such as 500x375: the photographs are first resized to it and encoded again as JPEG, in a "
    "temporary dataset. By default they are read as they are.",
)

_NETWORK = ("model", "width", "compute_dtype", "resolution", "batch_size", "threads", "rounds")
_PHOTOGRAPHS = ("data", "data_dir", "split", "source_size")
# The flags that a benchmark reads; another one is a mistake of the user.
_FLAGS = {
    "train_step": (*_NETWORK, "peers", "seconds"),
    "inference": (*_NETWORK, "peers", "seconds"),
    "input": (*_PHOTOGRAPHS, "resolution", "batch_size", "threads", "rounds", "peers", "seconds"),
    "compile": _NETWORK,
}


def main(names: Sequence[str]) -> None:
    report = _run(names)
    print(json.dumps(report) if _FORMAT.value == "json" else format_report(report))


def _run(names: Sequence[str]) -> dict[str, Any]:
    if len(names) != 1 or names[0] not in _FLAGS:
        given = " ".join(names) or "nothing"
        raise UserError(f"Name one benchmark first, {', '.join(_FLAGS)}, not {given}.")
    (benchmark,) = names
    for name in sorted({name for names in _FLAGS.values() for name in names}):
        if flags.FLAGS[name].present and name not in _FLAGS[benchmark]:
            raise UserError(f"--{name} means nothing to {benchmark}: leave it out.")
    if benchmark == "input":
        return run_input(_input_workload(), _SOURCE_SIZE.value, _PEERS.value, _ROUNDS.value)
    workload = _step_workload()
    if benchmark == "compile":
        program = pathlib.Path(__file__).resolve().parents[1] / "train.py"
        return run_compile(program, workload, _ROUNDS.value)
    return run_steps(benchmark, workload, _PEERS.value, _ROUNDS.value)


def _step_workload() -> StepWorkload:
    width = {} if _WIDTH.value is None else {"width": _WIDTH.value}
    architecture = create_architecture(_MODEL.value, resolution=_RESOLUTION.value, **width)
    return StepWorkload(
        model=architecture.name,
        width=architecture.width,
        resolution=_RESOLUTION.value,
        batch_size=_BATCH_SIZE.value,
        compute_dtype=_DTYPE.value,
        threads=use_threads(_THREADS.value),
        seconds=_SECONDS.value,
    )


def _input_workload() -> InputWorkload:
    if _DATA.value is None:
        raise UserError(
            "--data is missing: name a dataset of photographs; scripts/prepare_images.py makes one."
        )
    return InputWorkload(
        data=_DATA.value,
        data_dir=_DATA_DIR.value,
        split=_SPLIT.value,
        resolution=_RESOLUTION.value,
        batch_size=_BATCH_SIZE.value,
        threads=use_threads(_THREADS.value),
        seconds=_SECONDS.value,
        scratch="",
    )


if __name__ == "__main__":
    run(main, takes_words=True)
