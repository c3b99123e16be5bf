"""The trade-off of `tradeoff.py` for a laptop: four widths, two resolutions, V1 and V2. 16 runs.

The lower resolution is three quarters of the base's, so 24 of 32 pixels.

python scripts/sweep.py --sweep=configs/sweeps/tradeoff_small.py --base=configs/cifar10.py \
    --workdir=runs/tradeoff_small
"""

from ml_collections import ConfigDict

from mobilenet.sweeps import Row, product


def get_rows(base: ConfigDict) -> list[Row]:
    return product(
        {
            "model.name": ["mobilenet_v1", "mobilenet_v2"],
            "model.width": [0.25, 0.35, 0.5, 0.75],
            "model.resolution": [base.model.resolution, base.model.resolution * 3 // 4],
        }
    )
