"""V1 figures 4 and 5, V2 figure 5: accuracy against cost over width and resolution. 37 runs.

Widths are the papers'. Resolutions are the papers' shares of the base's: 224, 192, 160 and 128 of a
base of 224, and for V2 also 96. V2 1.4 is at full resolution alone. One seed, as in the papers.

python scripts/sweep.py --sweep=configs/sweeps/tradeoff.py --base=configs/imagenet_v2.py \
    --workdir=runs/tradeoff --launcher=print
"""

from ml_collections import ConfigDict

from mobilenet.sweeps import Row, chain, product


def get_rows(base: ConfigDict) -> list[Row]:
    resolutions = [round(base.model.resolution * share / 7) for share in (7, 6, 5, 4, 3)]
    return chain(
        product(
            {
                "model.name": ["mobilenet_v1"],
                "model.width": [0.25, 0.5, 0.75, 1.0],
                "model.resolution": resolutions[:4],
            }
        ),
        product(
            {
                "model.name": ["mobilenet_v2"],
                "model.width": [0.35, 0.5, 0.75, 1.0],
                "model.resolution": resolutions,
            }
        ),
        product(
            {
                "model.name": ["mobilenet_v2"],
                "model.width": [1.4],
                "model.resolution": resolutions[:1],
            }
        ),
    )
