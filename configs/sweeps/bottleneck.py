"""V2 figure 6a: a linear bottleneck against one with ReLU6, with and without shortcut. 12 runs.

python scripts/sweep.py --sweep=configs/sweeps/bottleneck.py --base=configs/cifar10.py \
    --workdir=runs/bottleneck
"""

from ml_collections import ConfigDict

from mobilenet.sweeps import Row, product, seeds


def get_rows(base: ConfigDict) -> list[Row]:
    del base
    return product(
        {
            "model.name": ["mobilenet_v2"],
            "model.bottleneck": ["linear", "relu6"],
            "model.shortcut": ["bottleneck", "none"],
        },
        seeds(3),
    )
