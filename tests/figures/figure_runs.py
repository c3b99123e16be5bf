"""Runs that never ran: configs as train.py writes them, with chosen results and curves."""

import json
from typing import Any

from configs import cifar10
from mobilenet.runs.finished import Run
from mobilenet.runs.run_directory import flatten


def make_run(
    top1: float,
    *,
    seed: int = 0,
    madds: int = 10_000_000,
    params: int = 1_000_000,
    curve: dict[int, float] | None = None,
    **keys: Any,
) -> Run:
    """Returns a run of configs/cifar10.py.

    Args:
      top1: share of 1 after the last step.
      seed: of the config.
      madds, params: of the result.
      curve: top-1 by step; by default that of the last step alone.
      **keys: of the config, with two underscores for the dot: `model__width=0.5`.
    """
    config = json.loads(cifar10.get_config().to_json())
    config["seed"] = seed
    for key, value in keys.items():
        name = key.replace("__", ".")
        assert name in flatten(config)
        *sections, last = name.split(".")
        section = config
        for part in sections:
            section = section[part]
        section[last] = value
    curve = curve or {100: top1}
    return Run(
        name="-".join(["run", *map(str, keys.values()), str(seed)]),
        config=config,
        environment={"starts": []},
        result={"top1": top1, "madds": madds, "params": params, "step": max(curve)},
        metrics=[
            {"step": step, "split": split, "top1": value - (split == "train") / 10, "loss": 1.0}
            for step, value in curve.items()
            for split in ("train", "eval")
        ],
    )
