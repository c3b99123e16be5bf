"""Over how many images statistics are taken: from 8 to the whole batch, V1 and V2. Up to 30 runs.

Neither paper studies it, but both trained with statistics of one worker's 32 to 96 images, where a
plain BatchNorm under a sharded `jit` takes those of the global batch.

python scripts/sweep.py --sweep=configs/sweeps/batch_norm.py --base=configs/cifar10.py \
    --workdir=runs/batch_norm
"""

from ml_collections import ConfigDict

from mobilenet.sweeps import Row, product, seeds


def get_rows(base: ConfigDict) -> list[Row]:
    sizes = [size for size in (8, 16, 32, 64, 128) if base.batch_size % size == 0]
    return product(
        {"model.name": ["mobilenet_v1", "mobilenet_v2"], "model.norm_group_size": sizes},
        seeds(3),
    )
