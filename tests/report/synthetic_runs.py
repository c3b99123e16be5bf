"""Runs that were never trained: true costs, and accuracies made up from a seed."""

import itertools
import math
import random

from configs import cifar10
from mobilenet.networks.architecture import architecture_of
from mobilenet.networks.cost import count_cost
from mobilenet.runs.finished import Run

_EPOCHS = 12
_STEPS_PER_EPOCH = 391


def make_run(name="run", *, seed=0, model="mobilenet_v2", data="cifar10", **knobs) -> Run:
    """Returns a run of configs/cifar10.py with some of the model's keys changed."""
    config = cifar10.get_config()
    config.seed = seed
    config.data.name = data
    config.model.name = model
    config.model.update(knobs)
    plain = config.to_dict()
    cost = count_cost(architecture_of(config.model, 10))
    chance = random.Random(f"{model} {knobs} {seed}")
    final = 0.3 + 0.07 * math.log10(cost.madds / 1e5) * (2 if model == "mobilenet_v2" else 1.8)
    final += chance.gauss(0, 0.006)
    metrics = list(_metrics(final, chance))
    return Run(
        name=name,
        config=plain,
        environment={
            "starts": [
                {
                    "devices": {"platform": "cpu", "kind": "cpu", "count": 1, "processes": 1},
                    "cpu": {"model": "Intel(R) Xeon(R) CPU @ 2.80GHz", "cores": 2},
                }
            ]
        },
        result={
            "top1": metrics[-1]["top1"],
            "split": "test",
            "params": cost.params,
            "madds": cost.madds,
            "seconds": 60 + cost.madds / 2e4 + chance.random(),
        },
        metrics=metrics,
    )


def make_sweep(seeds=3) -> list[Run]:
    """Returns runs of both families with four widths, two resolutions and some seeds."""
    return [
        make_run(
            f"{model}_{width}_{resolution}_{seed}",
            seed=seed,
            model=model,
            width=width,
            resolution=resolution,
        )
        for model, width, resolution, seed in itertools.product(
            ("mobilenet_v1", "mobilenet_v2"), (0.25, 0.5, 0.75, 1.0), (32, 48), range(seeds)
        )
    ]


def _metrics(final, chance):
    total = _EPOCHS * _STEPS_PER_EPOCH
    for step in range(50, total + 1, 50):
        loss = 0.25 + 2.05 * math.exp(-4 * step / total) + 0.9 * (1 - final) + chance.gauss(0, 0.04)
        yield {"step": step, "split": "train", "loss": loss}
    for epoch in range(1, _EPOCHS + 1):
        top1 = final * (1 - 0.75 * math.exp(-5 * epoch / _EPOCHS))
        top1 += chance.gauss(0, 0.008) * (1 - epoch / _EPOCHS)
        yield {"step": epoch * _STEPS_PER_EPOCH, "split": "eval", "top1": top1, "top5": 1.0}
