"""The batches that a config describes: this host's part of them."""

import jax
import ml_collections

from mobilenet.config import size_of, train_size
from mobilenet.data import pipeline
from mobilenet.data.datasets import Split
from mobilenet.data.pipeline import Batches, Target
from mobilenet.data.policy import make_policy


def train_batches(
    config: ml_collections.ConfigDict, split: Split, target: Target, *, start_step: int
) -> Batches:
    """Returns the training batches from the given one on; as `pipeline.train_batches`."""
    return pipeline.train_batches(
        split,
        config.data,
        train_size(config),
        config.batch_size,
        config.seed,
        target,
        start_step=start_step,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        policy=make_policy(config.augment),
    )


def eval_batches(config: ml_collections.ConfigDict, split: Split, target: Target) -> Batches:
    """Returns the batches of an evaluation; as `pipeline.eval_batches`."""
    return pipeline.eval_batches(
        split,
        config.data,
        size_of(config.model.resolution),
        config.evaluation.batch_size,
        target,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )


def check_batches(
    config: ml_collections.ConfigDict, train_split: Split, eval_split: Split, target: Target
) -> None:
    """Checks all that a run will want of its data, and reads nothing.

    Raises:
      ConfigError: a value cannot work.
    """
    # Neither begins before its first batch is asked for.
    train_batches(config, train_split, target, start_step=0)
    eval_batches(config, eval_split, target)
