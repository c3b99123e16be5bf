"""V2 figure 6b: shortcuts between bottlenecks, between expansions, or none. 9 runs.

python scripts/sweep.py --sweep=configs/sweeps/shortcut.py --base=configs/cifar10.py \
    --workdir=runs/shortcut
"""

from ml_collections import ConfigDict

from mobilenet.sweeps import Row, product, seeds


def get_rows(base: ConfigDict) -> list[Row]:
    del base
    return product(
        {
            "model.name": ["mobilenet_v2"],
            "model.bottleneck": ["linear"],
            "model.shortcut": ["bottleneck", "expansion", "none"],
        },
        seeds(3),
    )
