"""MobileNetV1 1.0 on ImageNet, as far as its recipe is known.

python train.py --config=configs/imagenet_v1.py --workdir=runs/imagenet_v1

The V1 paper (section 3.2) names RMSProp, little augmentation, no label smoothing and little or no
weight decay on depthwise filters, and no numbers. V2 section 6.1 says that its own learning rate,
0.045 times 0.98 an epoch, follows V1; decay, momentum, epsilon and weight decay are TF-slim's
(train_image_classifier.py, nets/mobilenet_v1.py). TF-slim multiplies the rate by the number of its
workers of 96 images. The recipe behind TF-slim's published 70.9 % was never published.

Not run here. Published with a recipe like it: 70.6 % (V1 table 4). For a host of accelerators: 200
epochs are 1,001,000 steps of 256 images.
"""

from ml_collections import ConfigDict

from mobilenet import config as base


def get_config(variant: str = "") -> ConfigDict:
    config = base.get_config()
    config.batch_size = 256
    config.total_epochs = 200.0
    config.model.name = "mobilenet_v1"
    config.schedule.learning_rate = config.get_ref("batch_size").to_float() * (0.045 / 96)
    config.label_smoothing = 0.0
    config.ema_decay = 0.9999
    return base.with_variant(config, variant)
