"""MobileNetV2 1.0 on ImageNet, by the paper's recipe where it has one and TF-slim's elsewhere.

python train.py --config=configs/imagenet_v2_paper.py --workdir=runs/imagenet_v2_paper

V2 section 6.1: RMSProp with decay and momentum 0.9, weight decay 4e-5, learning rate 0.045 times
0.98 an epoch, 16 asynchronous workers of 96 images. From TF-slim (nets/mobilenet/README.md): label
smoothing 0.1, moving average 0.9999, Inception's crops and colours, and a rate that is multiplied
by the number of workers of 96 images; it reached 72.0 % after 700,000 steps of 768 images. The
length is ours: after 300 epochs the rate is 0.2 % of the first.

Not run here. Published: 72.0 % (V2 table 4). RMSProp from scratch at this rate failed for some who
tried; `imagenet_v2.py` is the easier way to the same accuracy.
"""

from ml_collections import ConfigDict

from mobilenet import config as base


def get_config(variant: str = "") -> ConfigDict:
    config = base.get_config()
    config.batch_size = 768
    config.total_epochs = 300.0
    config.schedule.learning_rate = config.get_ref("batch_size").to_float() * (0.045 / 96)
    config.ema_decay = 0.9999
    config.augment.color = "slim_fast"
    return base.with_variant(config, variant)
