"""MobileNetV2 1.0 on ImageNet by torchvision's later recipe: 600 epochs, strong augmentation.

python train.py --config=configs/imagenet_modern.py --workdir=runs/imagenet_modern

The recipe of torchvision's IMAGENET1K_V2 weights (pytorch/vision pull request 5560): batches of
1,024, rate 0.5 with five epochs of warm-up and a cosine, weight decay 2e-5 but not on
normalisation, label smoothing 0.1, TrivialAugment, mixup 0.2, cutmix 1.0, random erasing 0.1,
training crops of 176 pixels, evaluation at 224 after a resize to 232. The rate is proportional to
the batch. torchvision updates its moving average every 32 steps by a rate that depends on batch and
length; 0.99997 a step is the same. Left out: its four repetitions of each image in an epoch.

Not run here. Published by torchvision: 72.15 % top-1, 90.82 % top-5. 750,700 steps.
"""

from ml_collections import ConfigDict

from mobilenet import config as base


def get_config(variant: str = "") -> ConfigDict:
    config = base.get_config()
    config.batch_size = 1024
    config.total_epochs = 600.0
    config.model.padding = "symmetric"
    config.model.norm_epsilon = 1e-5
    config.model.norm_momentum = 0.9
    config.data.train_resolution = 176
    config.data.crop_area = (0.08, 1.0)
    config.data.eval_fraction = 224 / 232
    config.augment.mean = (123.675, 116.28, 103.53)
    config.augment.stddev = (58.395, 57.12, 57.375)
    config.augment.policy = "trivial_wide"
    config.augment.mixup_alpha = 0.2
    config.augment.cutmix_alpha = 1.0
    config.augment.erase_probability = 0.1
    config.optimizer.name = "sgd"
    config.optimizer.weight_decay = 2e-5
    config.optimizer.weight_decay_on = "kernels"
    config.schedule.name = "cosine"
    config.schedule.learning_rate = config.get_ref("batch_size").to_float() * (0.5 / 1024)
    config.schedule.warmup_epochs = 5.0
    config.ema_decay = 0.99997
    return base.with_variant(config, variant)
