"""Runs as their files hold them."""

import copy
from collections.abc import Callable

import pytest

from mobilenet.runs.finished import Run

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
