"""MobileNetV2 1.0 on ImageNet by SGD: 150 epochs, the cheapest recipe known to reach 72 %.

python train.py --config=configs/imagenet_v2.py --workdir=runs/imagenet_v2

The recipe of d-li14/mobilenetv2.pytorch: batches of 256, rate 0.05 with a cosine to zero, momentum
0.9, weight decay 4e-5 on all parameters, PyTorch's random crops (area 0.08 to 1) and flips, its
padding and its normalisation (epsilon 1e-5, a tenth of the new statistics a step). The rate is
proportional to the batch.

Not run here. Published by that repository: 72.19 % top-1, 90.53 % top-5. 750,600 steps.
"""

from ml_collections import ConfigDict

from mobilenet import config as base


def get_config(variant: str = "") -> ConfigDict:
    config = base.get_config()
    config.batch_size = 256
    config.total_epochs = 150.0
    config.model.padding = "symmetric"
    config.model.norm_epsilon = 1e-5
    config.model.norm_momentum = 0.9
    config.data.crop_area = (0.08, 1.0)
    config.augment.mean = (123.675, 116.28, 103.53)
    config.augment.stddev = (58.395, 57.12, 57.375)
    config.optimizer.name = "sgd"
    config.optimizer.weight_decay_on = "all"
    config.schedule.name = "cosine"
    config.schedule.learning_rate = config.get_ref("batch_size").to_float() * (0.05 / 256)
    config.label_smoothing = 0.0
    return base.with_variant(config, variant)
