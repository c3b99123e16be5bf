"""V1 tables 4 and 5: separable against full convolutions, narrow against shallow. 12 runs.

python scripts/sweep.py --sweep=configs/sweeps/v1_ablations.py --base=configs/cifar10.py \
    --workdir=runs/v1_ablations --base.model.width=1.0

Of the base's width, table 4 replaces the separable convolutions by full ones, and table 5 makes the
network narrower by 0.75 or leaves out five of its blocks, which cost about the same.
"""

from ml_collections import ConfigDict

from mobilenet.sweeps import Row, chain, product, seeds


def get_rows(base: ConfigDict) -> list[Row]:
    width = base.model.width
    variants = chain(
        product({"model.convolution": ["separable", "full"], "model.depth": ["full"]}),
        product({"model.convolution": ["separable"], "model.depth": ["shallow"]}),
    )
    narrow = {"model.convolution": ["separable"], "model.depth": ["full"]}
    return product(
        {"model.name": ["mobilenet_v1"]},
        chain(
            product({"model.width": [width]}, variants),
            product({"model.width": [0.75 * width]}, narrow),
        ),
        seeds(3),
    )
