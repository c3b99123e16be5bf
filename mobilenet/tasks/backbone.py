"""From a config to the module that every task builds on."""

import jax.numpy as jnp
import ml_collections

from mobilenet.errors import ConfigError
from mobilenet.networks.architecture import Architecture, architecture_of
from mobilenet.networks.models import MobileNet
from mobilenet.networks.preprocessing import Preprocessing


def build_backbone(config: ml_collections.ConfigDict, num_classes: int) -> MobileNet:
    """Builds the network of `config.model`, of shapes, for a number of classes; 0: no classifier.

    Raises:
      ConfigError: a key with a value that cannot work.
    """
    architecture = architecture_of(config.model, num_classes)
    if config.compute_dtype not in ("float32", "bfloat16"):
        raise ConfigError(
            f"config.compute_dtype must be float32 or bfloat16, not {config.compute_dtype!r}."
        )
    return MobileNet(
        architecture,
        jnp.dtype(config.compute_dtype),
        preprocessing_of(config, architecture),
        fused_expansions=config.fused_expansions,
    )


def preprocessing_of(
    config: ml_collections.ConfigDict, architecture: Architecture
) -> Preprocessing:
    """Returns how the network of a settled config wants to see images."""
    return Preprocessing(
        mean=config.augment.mean,
        stddev=config.augment.stddev,
        resolution=architecture.resolution,
        eval_crop=config.data.eval_crop,
        eval_fraction=config.data.eval_fraction,
        interpolation=config.data.interpolation,
    )
