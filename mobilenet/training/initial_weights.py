"""What a run begins with: random weights, published ones, or those of another run."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from flax import nnx

from mobilenet.config import check_numbers
from mobilenet.errors import ConfigError, UserError
from mobilenet.networks.architecture import TRAINING_KNOBS, given_knobs
from mobilenet.networks.functional import Tree, split_model
from mobilenet.networks.initialization import initialize
from mobilenet.networks.preprocessing import SLIM
from mobilenet.runs.run_directory import read_config
from mobilenet.runs.weights import open_weights
from mobilenet.tasks.network import Network
from mobilenet.weights.pretrained import find_release, load_pretrained

_OF_RUN = "run:"


def settle_config(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Finds the initial weights, and returns the locked config with what goes along with them.

    Where `config.model` holds None, the knobs become those that the weights were trained with, such
    as padding and epsilon; `config.augment.mean` and `stddev` of None become theirs, or slim's
    without initial weights. Values that are given stay, and a mean or deviation of pixels that is
    not the weights' own gives a warning.

    Raises:
      ConfigError: `config.initial_weights` names no weights of this network, or as
        `check_numbers` says.
    """
    config = config.copy_and_resolve_references().unlock()
    knobs, mean, stddev = _find(config)
    for knob, value in knobs.items():
        if knob not in TRAINING_KNOBS and config.model[knob] is None:
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
    check_numbers(config)
    return config.lock()


def load_initial_weights(config: ml_collections.ConfigDict, network: Network) -> tuple[Tree, Tree]:
    """Returns the parameters and moving statistics that a run of a settled config begins with.

    The head is new and zero, and a warning says so, where its classes are not as many as the
    data's.

    Raises:
      UserError: the weights cannot be had, or do not fit.
    """
    words, head = config.initial_weights, network.module.task_parameters
    if words is not None and not words.startswith(_OF_RUN):
        classes, knobs = network.architecture.num_classes, given_knobs(config.model)
        pretrained = load_pretrained(config.model.name, words, classes, seed=config.seed, **knobs)
        _, params, batch_stats = split_model(pretrained.model)
        if not pretrained.has_own_classifier:
            params = _with_new_head(params, params, head)
        return params, batch_stats
    # Of the module, whose shapes stay shapes.
    _, params, batch_stats = split_model(initialize(nnx.clone(network.module), config.seed))
    return (params, batch_stats) if words is None else _of_run(config, network, params)


def _of_run(config: ml_collections.ConfigDict, network: Network, params: Tree) -> tuple[Tree, Tree]:
    """Returns the weights of a run's last checkpoint, for a network with such parameters."""
    head = network.module.task_parameters
    run = open_weights(config.initial_weights.removeprefix(_OF_RUN))
    # They may lie on other devices than those of this run.
    theirs, batch_stats = jax.device_get((run.params, run.batch_stats))
    if any(_shapes(theirs[name]) != _shapes(params[name]) for name in head):
        logging.warning(
            "The classifier of %s, step %s, has %d classes: that of this run, of %d classes, "
            "is new.",
            run.directory,
            f"{run.step:,}",
            len(run.class_names),
            network.architecture.num_classes,
        )
        theirs = _with_new_head(theirs, params, head)
    if _shapes(theirs) != _shapes(params):
        there, here = run.config.model, config.model
        differing = [
            f"config.model.{key} is {there[key]} there and {here[key]} here"
            for key in sorted(here)
            if key not in (*TRAINING_KNOBS, "resolution") and there[key] != here[key]
        ]
        raise ConfigError(
            f"config.initial_weights: the network of {run.directory} is another one: "
            f"{'; '.join(differing)}."
        )
    return theirs, batch_stats


def _with_new_head(theirs: Tree, ours: Tree, head: tuple[str, ...]) -> Tree:
    """Sets the head to zero, so that its first errors do not reach the layers before it.

    As big_vision's models begin a transfer (models/vit.py, head_zeroinit).
    """
    return {**theirs, **{name: jax.tree.map(jnp.zeros_like, ours[name]) for name in head}}


def _shapes(tree: Tree) -> Any:
    return jax.tree.map(np.shape, tree)


def _find(
    config: ml_collections.ConfigDict,
) -> tuple[Mapping[str, Any], Sequence[float], Sequence[float]]:
    """Returns knobs of the weights' network, and their mean and deviation of pixels."""
    words = config.initial_weights
    if words is None:
        return {}, SLIM.mean, SLIM.stddev
    if not isinstance(words, str):
        raise ConfigError(
            f"config.initial_weights must be words such as torchvision or run:DIR, or None, not "
            f"{words!r}."
        )
    try:
        if words.startswith(_OF_RUN):
            run = read_config(words.removeprefix(_OF_RUN))
            return run.model.to_dict(), run.augment.mean, run.augment.stddev
        release = find_release(config.model.name, words, **given_knobs(config.model))
    except UserError as error:
        raise ConfigError(f"config.initial_weights: {error}") from error
    preprocessing = release.preprocessing
    return release.knobs, preprocessing.mean, preprocessing.stddev
