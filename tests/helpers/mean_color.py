"""A task in one file, and its config: the mean colour of an image, by regression."""

import cv2
import jax.numpy as jnp
import ml_collections
import numpy as np

from mobilenet.networks.preprocessing import normalize
from mobilenet.tasks.backbone import build_backbone
from mobilenet.tasks.choose import TASKS
from mobilenet.tasks.task import Task
from tests.helpers import small_config


def _target(split, record, crop):
    del split, crop
    if record is None:
        return {"color": np.zeros(3, np.float32)}
    pixels = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR_RGB)
    return {"color": pixels.mean((0, 1), dtype=np.float32) / 255}


def _squares(outputs, batch):
    valid = (batch["mask"] > 0)[:, None]
    return jnp.where(valid, (outputs - batch["color"]) ** 2, 0).sum()


def _loss(outputs, batch):
    # Of three values an image: what is divided by is not the number of images.
    return {"loss": _squares(outputs, batch), "weight": 3 * (batch["mask"] > 0).sum()}


def _score(outputs, batch):
    return {"squares": _squares(outputs, batch), "colors": batch["color"], "mask": batch["mask"]}


def _summarize(scores, split, per_class):
    del split, per_class
    colors = np.concatenate([score["colors"][score["mask"] > 0] for score in scores])
    squares = sum(float(score["squares"]) for score in scores)
    spread = float(((colors - colors.mean(0)) ** 2).sum())
    return {"r2": 1 - squares / spread, "loss": squares / colors.size}


def _make(config):
    def prepare(batch, keys):
        del keys
        images = normalize(batch["images"], config.augment.mean, config.augment.stddev)
        return {**batch, "images": images}

    def network(config, num_classes):
        del num_classes
        return build_backbone(config, 3)

    return Task("r2", network, _target, prepare, _loss, _score, _summarize)


TASKS["mean_color"] = _make


def get_config() -> ml_collections.ConfigDict:
    config = small_config.get_config()
    config.task = "mean_color"
    config.optimizer.accumulation_steps = 2
    return config
