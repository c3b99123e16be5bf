"""A run of seconds, for the tests: the smaller V1 at width 0.25 on 16 x 16 pixels."""

import ml_collections

from mobilenet import config as base


def get_config() -> ml_collections.ConfigDict:
    config = base.get_config()
    config.batch_size = 16
    config.total_steps = 10
    config.compute_dtype = "float32"
    config.model.name = "mobilenet_v1"
    config.model.width = 0.25
    config.model.depth = "shallow"
    config.model.resolution = 16
    config.model.norm_momentum = 0.5
    config.data.name = "stripes"
    config.data.eval_split = "test"
    config.data.train_crop = "pad_crop"
    config.data.crop_padding = 2
    config.data.eval_fraction = 1.0
    config.data.num_threads = 1
    config.optimizer.name = "sgd"
    # One compiled program for runs of any length.
    config.schedule.name = "constant"
    config.schedule.learning_rate = 0.05
    config.ema_decay = 0.9
    config.evaluation.batch_size = 16
    config.evaluation.every_epochs = None
    config.evaluation.every_steps = 4
    config.checkpoint.every_epochs = None
    config.checkpoint.every_steps = 2
    config.log.every_steps = 1
    config.log.tensorboard = False
    return config
