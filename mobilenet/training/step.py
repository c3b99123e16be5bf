"""One training step and one evaluation step, as pure functions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, Float, Int, PyTree

from mobilenet.networks.functional import Functions, Tree
from mobilenet.runs.state import TrainState
from mobilenet.tasks.classification.mixing import Mixture
from mobilenet.tasks.pixels.augment import make_augment, normalize, split_key
from mobilenet.training.ema import update_ema

Batch = dict[str, Array]  # uint8 images[n h w 3], int32 labels[n], float32 mask[n]
Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
EvalStep = Callable[[Tree, Tree, Batch], Metrics]


def make_train_step(
    functions: Functions,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    config: ml_collections.ConfigDict,
) -> TrainStep:
    """Returns the function (state, batch) -> (state, metrics).

    All randomness comes from (config.seed, state.step). Metrics are float32 scalars: `loss` and
    `top1` (mean over the images whose mask is 1), `images`, `learning_rate` and `gradient_norm`.
    The right answer to a mixture of two images is the label with the larger share.
    An image whose mask is 0 weighs nothing in them or in the gradient, but it is a part of the
    batch that BatchNorm normalises: training has such images only where corrupt ones are skipped.
    Micro-batches are augmented each for itself: images are mixed within one.

    Raises:
      ConfigError: `config.augment` holds a value that cannot work.
    """
    augment, smoothing = make_augment(config.augment), config.label_smoothing
    accumulation_steps = config.optimizer.accumulation_steps

    def loss_sum(
        params: Tree, batch_stats: Tree, batch: Batch, key: Array
    ) -> tuple[Array, tuple[Tree, Metrics]]:
        keys = split_key(key)
        images, mixture = augment(batch, keys)
        logits, batch_stats = functions.train(params, batch_stats, images, keys["dropout"])
        sums = summarize(
            logits, batch["labels"], batch["mask"], label_smoothing=smoothing, mixture=mixture
        )
        return sums["loss"], (batch_stats, sums)

    def accumulate(
        params: Tree, batch_stats: Tree, batch: Batch, key: Array
    ) -> tuple[PyTree[Array], Tree, Metrics]:
        """Returns gradient and metrics summed over images; statistics follow each micro-batch."""

        def add(carry: tuple, micro: tuple[Array, Batch]) -> tuple[tuple, Metrics]:
            gradient, batch_stats = carry
            index, batch = micro
            micro_key = micro_batch_key(key, index)
            more, (batch_stats, sums) = jax.grad(loss_sum, has_aux=True)(
                params, batch_stats, batch, micro_key
            )
            return (jax.tree.map(jnp.add, gradient, more), batch_stats), sums

        first = (jax.tree.map(jnp.zeros_like, params), batch_stats)
        micro_batches = split_batch(batch, accumulation_steps)
        (gradient, batch_stats), sums = jax.lax.scan(
            add, first, (jnp.arange(accumulation_steps), micro_batches)
        )
        return gradient, batch_stats, jax.tree.map(lambda x: x.sum(0), sums)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = step_key(config.seed, state.step)
        if accumulation_steps > 1:
            gradient, batch_stats, sums = accumulate(state.params, state.batch_stats, batch, key)
        else:
            gradient, (batch_stats, sums) = jax.grad(loss_sum, has_aux=True)(
                state.params, state.batch_stats, batch, key
            )
        # A batch can be masked out entirely where corrupt images are skipped.
        images = jnp.maximum(sums["images"], 1)
        gradient = jax.tree.map(lambda g: g / images.astype(g.dtype), gradient)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema is not None:
            ema = update_ema(ema, (params, batch_stats), config.ema_decay, state.step)
        metrics = {
            "loss": sums["loss"] / images,
            "top1": sums["top1"] / images,
            "images": sums["images"],
            "learning_rate": schedule(state.step),
            "gradient_norm": optax.tree.norm(gradient),
        }
        return TrainState(state.step + 1, params, batch_stats, opt_state, ema), metrics

    return step


def make_eval_step(
    functions: Functions, config: ml_collections.ConfigDict, *, with_predictions: bool = False
) -> EvalStep:
    """Returns the function (params, batch_stats, batch) -> `summarize`, without smoothing.

    In a batch with `label_sets` the class of the set that ranks first stands for the set: top-1 is
    right if the network's first class is in the set (Beyer et al., 2006.07159, section 3), top-5 if
    one of its first five is. Images with an empty set are left out, and `unlabelled` counts them.

    Args:
      functions: the network.
      config: of the run.
      with_predictions: whether to add int32 `predictions[n]`, the class that ranks first.
    """

    def step(params: Tree, batch_stats: Tree, batch: Batch) -> Metrics:
        images = normalize(batch["images"], config.augment.mean, config.augment.stddev)
        logits = functions.evaluate(params, batch_stats, images)
        labels, mask, more = batch["labels"], batch["mask"], {}
        if "label_sets" in batch:
            sets = batch["label_sets"]
            labels = jnp.argmax(jnp.where(sets, logits, -jnp.inf), axis=-1).astype(jnp.int32)
            has_label = sets.any(-1)
            more["unlabelled"] = ((mask > 0) & ~has_label).sum(dtype=logits.dtype)
            mask = jnp.where(has_label, mask, 0)
        if with_predictions:
            more["predictions"] = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        return {**summarize(logits, labels, mask, label_smoothing=0.0), **more}

    return step


def summarize(
    logits: Float[Array, "n classes"],
    labels: Int[Array, " n"],
    mask: Float[Array, " n"],
    *,
    label_smoothing: float,
    mixture: Mixture | None = None,
) -> Metrics:
    """Returns the sums over images of `loss`, `top1` and `top5`, and the number of `images`.

    The loss is the cross-entropy in nats. Of equal logits that of the lower class ranks first.
    Smoothing mixes the labels with the uniform
    distribution over all classes (TensorFlow's tf.losses.softmax_cross_entropy, which slim uses).
    The target of a `mixture` is that of both labels by their shares, and the label with the larger
    one is counted.
    """
    classes = logits.shape[-1]
    targets = jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    counted = targets
    if mixture is not None:
        share = mixture.shares.astype(logits.dtype)[:, None]
        others = jax.nn.one_hot(mixture.others, classes, dtype=logits.dtype)
        targets = share * targets + (1 - share) * others
        labels = mixture.dominant(labels)
        counted = jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    smooth = targets * (1 - label_smoothing) + label_smoothing / classes
    losses = optax.softmax_cross_entropy(logits, smooth)
    # Not by lax.top_k, for which XLA gathers the logits of all devices. A logit that is no number
    # is never below another, so that a network that diverged has no hits.
    own = jnp.where(counted > 0, logits, 0).sum(-1, keepdims=True)
    is_before = jnp.arange(classes, dtype=labels.dtype)[None] < labels[:, None]
    rank = (~(logits <= own) | (logits == own) & is_before).sum(-1)
    valid = mask > 0
    return {
        # A product would let a loss that is not finite through: 0 times infinity is no number.
        "loss": jnp.where(valid, losses, 0).sum(),
        "top1": ((rank < 1) & valid).sum(dtype=losses.dtype),
        "top5": ((rank < min(5, classes)) & valid).sum(dtype=losses.dtype),
        "images": valid.sum(dtype=losses.dtype),
    }


def step_key(seed: int, step: int | Array) -> Array:
    """Returns the key of all that is random in a step; steps count from 0."""
    return jax.random.fold_in(jax.random.key(seed), step)


def micro_batch_key(key: Array, index: int | Array) -> Array:
    """Returns the key of one of the micro-batches of a step with gradient accumulation."""
    return jax.random.fold_in(key, index)


def split_batch(batch: Batch, parts: int) -> Batch:
    """[parts * n, ...] to [parts, n, ...] so that each device keeps the images it holds."""

    def split(x: Array) -> Array:
        return jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1)

    return jax.tree.map(split, batch)
