"""V2 section 4: the expansion factor t from 1 to 10. 21 runs.

The paper says that t between 5 and 10 gives nearly the same curves, and that smaller networks do
better with a slightly smaller t.

python scripts/sweep.py --sweep=configs/sweeps/expansion.py --base=configs/cifar10.py \
    --workdir=runs/expansion
"""

from ml_collections import ConfigDict

from mobilenet.sweeps import Row, product, seeds


def get_rows(base: ConfigDict) -> list[Row]:
    del base
    return product(
        {
            "model.name": ["mobilenet_v2"],
            "model.expansion": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0],
        },
        seeds(3),
    )
