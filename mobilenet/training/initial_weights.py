"""What a run begins with: random weights, published ones, or those of another run."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging

from mobilenet.errors import ConfigError, UserError
from mobilenet.networks.functional import Tree, split_model
from mobilenet.networks.initialization import initialize
from mobilenet.networks.models import MobileNet
from mobilenet.networks.preprocessing import SLIM
from mobilenet.runs.run_directory import read_config
from mobilenet.weights.pretrained import find_published, load_pretrained

Color = tuple[float, float, float]

_OF_RUN = "run:"
# Knobs that say how to train, and nothing about what the weights mean.
_TRAINING_KNOBS = ("dropout", "norm_momentum", "norm_group_size")


def settle_config(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Writes into a config what goes with its initial weights.

    Where `config.model` holds None, the knobs become those that the weights were trained with, such
    as padding and epsilon; `config.augment.mean` and `stddev` of None become theirs, or slim's
    without initial weights. Values that are given stay, and a mean or deviation of pixels that is
    not the weights' own gives a warning.

    Returns:
      A locked copy.

    Raises:
      ConfigError: `config.initial_weights` names no weights of this network.
    """
    config = config.copy_and_resolve_references().unlock()
    knobs: Mapping[str, Any] = {}
    mean, stddev = SLIM.mean, SLIM.stddev
    if config.initial_weights is not None:
        knobs, mean, stddev = _what_goes_along(config)
    for knob, value in knobs.items():
        if knob not in _TRAINING_KNOBS and config.model[knob] is None:
            config.model[knob] = value
    for key, value in (("mean", mean), ("stddev", stddev)):
        if config.augment[key] is None:
            config.augment[key] = value
        elif config.initial_weights and not np.allclose(config.augment[key], value, atol=0.01):
            logging.warning(
                "config.augment.%s is %s, and that of the initial weights %s: None takes theirs.",
                key,
                tuple(config.augment[key]),
                tuple(round(x, 3) for x in value),
            )
    return config.lock()


def load_initial_weights(config: ml_collections.ConfigDict, module: MobileNet) -> tuple[Tree, Tree]:
    """Returns the parameters and moving statistics that a run begins with.

    The classifier is new and zero, and a warning says so, where its classes are not as many as the
    data's.

    Args:
      config: of the run, settled.
      module: the network of the run; only its shapes are read.

    Raises:
      UserError: the weights cannot be had, or do not fit.
    """
    words, architecture = config.initial_weights, module.architecture
    if words is not None and not words.startswith(_OF_RUN):
        classes, knobs = architecture.num_classes, _given_knobs(config)
        pretrained = load_pretrained(config.model.name, words, classes, seed=config.seed, **knobs)
        params, batch_stats = _weights_of(pretrained.model)
        if not pretrained.has_own_classifier:
            params = _with_new_classifier(params)
        return params, batch_stats
    params, batch_stats = _weights_of(initialize(MobileNet(architecture), config.seed))
    return (params, batch_stats) if words is None else _of_run(config, params)


def _weights_of(module: MobileNet) -> tuple[Tree, Tree]:
    _, params, batch_stats = split_model(module)
    return params, batch_stats


def _with_new_classifier(params: Tree) -> Tree:
    """Sets the classifier to zero, so that its first errors do not reach the layers before it.

    As big_vision's models begin a transfer (models/vit.py, head_zeroinit).
    """
    return {**params, "logits": jax.tree.map(jnp.zeros_like, params["logits"])}


def _given_knobs(config: ml_collections.ConfigDict) -> dict[str, Any]:
    return {key: v for key, v in config.model.items() if key != "name" and v is not None}


def _what_goes_along(
    config: ml_collections.ConfigDict,
) -> tuple[Mapping[str, Any], Color, Color]:
    """Returns knobs of the network, and mean and deviation of pixels."""
    words = config.initial_weights
    if not isinstance(words, str):
        raise ConfigError(
            f"config.initial_weights must be words such as torchvision or run:DIR, or None, not "
            f"{words!r}."
        )
    try:
        if words.startswith(_OF_RUN):
            run = read_config(words.removeprefix(_OF_RUN))
            return run.model.to_dict(), run.augment.mean, run.augment.stddev
        published = find_published(config.model.name, words, **_given_knobs(config))
    except UserError as error:
        raise ConfigError(f"config.initial_weights: {error}") from error
    preprocessing = published.preprocessing
    return published.knobs, preprocessing.mean, preprocessing.stddev


def _of_run(config: ml_collections.ConfigDict, params: Tree) -> tuple[Tree, Tree]:
    """Returns the weights of a run's last checkpoint, for a network with such parameters."""
    # Only here, as it imports the module that imports this one.
    from mobilenet.runs.weights import load_run

    loaded = load_run(config.initial_weights.removeprefix(_OF_RUN))
    theirs, statistics = _weights_of(loaded.model)
    if theirs["logits"]["bias"].shape != params["logits"]["bias"].shape:
        logging.warning(
            "The classifier of %s has %d classes: that of this run, of %d classes, is new.",
            loaded.origin,
            theirs["logits"]["bias"].size,
            params["logits"]["bias"].size,
        )
        theirs = _with_new_classifier({**theirs, "logits": params["logits"]})
    shapes = [jax.tree.map(np.shape, tree) for tree in (theirs, params)]
    if shapes[0] != shapes[1]:
        there = {**loaded.knobs, "name": loaded.model.architecture.name}
        here = {**_given_knobs(config), "name": config.model.name}
        differing = [
            f"config.model.{key} is {there.get(key)} there and {here.get(key)} here"
            for key in sorted(there.keys() | here.keys())
            if key not in (*_TRAINING_KNOBS, "resolution") and there.get(key) != here.get(key)
        ]
        raise ConfigError(
            f"config.initial_weights: the network of {loaded.origin} is another one: "
            f"{'; '.join(differing)}."
        )
    return theirs, statistics
