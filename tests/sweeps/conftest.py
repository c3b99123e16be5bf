"""A sweep's parts: a base config on a small dataset, and runs as their files hold them."""

import copy
import pathlib
from collections.abc import Callable

import pytest

from mobilenet.sweeps.runs import Run
from tests.training.stripes import write_stripes
from tests.warm_start import WarmProgram

_REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> pathlib.Path:
    """Holds the dataset `stripes`."""
    folder = tmp_path_factory.mktemp("datasets")
    write_stripes(folder)
    return folder


@pytest.fixture(scope="session")
def base_file() -> pathlib.Path:
    """A config of runs of seconds."""
    return _REPOSITORY / "tests" / "training" / "small_config.py"


@pytest.fixture(scope="session")
def start_sweep(start_warm_program, data_dir, base_file) -> Callable[..., WarmProgram]:
    """Starts scripts/sweep.py on a workdir and rows, given as the text of a sweep file's list.

    `script` is a copy of it: it starts the train.py beside its folder.
    """

    def start(
        workdir: pathlib.Path,
        rows: str,
        *flags: str,
        script: pathlib.Path = _REPOSITORY / "scripts" / "sweep.py",
    ) -> WarmProgram:
        sweep_file = workdir.parent / f"{workdir.name}_rows.py"
        sweep_file.write_text(
            "from mobilenet.sweeps import chain, product, seeds, zipped\n"
            f"def get_rows(base):\n    return {rows}\n"
        )
        return start_warm_program(
            script,
            f"--sweep={sweep_file}",
            f"--base={base_file}",
            f"--base.data.data_dir={data_dir}",
            f"--workdir={workdir}",
            *flags,
        )

    return start


_CONFIG = {
    "seed": 0,
    "batch_size": 128,
    "model": {"name": "mobilenet_v2", "width": 0.5, "resolution": 32, "shortcut": None},
    "data": {"name": "cifar10", "data_dir": "/home/somebody/data", "num_threads": 2},
    "log": {"every_steps": 100},
}
_RESULT = {"top1": 0.5, "params": 700_000, "madds": 2_000_000, "seconds": 100.0, "step": 10}


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Makes a run; `overrides` are dotted keys of its config, the others of its result."""

    def make(name: str = "run", overrides: dict | None = None, **result) -> Run:
        config = copy.deepcopy(_CONFIG)
        for key, value in (overrides or {}).items():
            section, _, leaf = key.rpartition(".")
            (config[section] if section else config)[leaf] = value
        start = {"command": ["train.py", "--workdir=/home/somebody/run"], "git": None}
        metrics = [
            {"step": 5, "split": "train", "loss": 2.123456789, "images_per_second": 9.0},
            {"step": 10, "split": "eval", "loss": 2.0, "top1": 0.5, "num_images": 100},
        ]
        return Run(name, config, {"starts": [start]}, _RESULT | result, metrics)

    return make
