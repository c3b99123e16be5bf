"""Optimizers as their sources define them, and the rules that say which parameters decay."""

from collections.abc import Collection

import jax
import ml_collections
import optax
from jaxtyping import Array, Float, PyTree

from mobilenet.errors import ConfigError

_NAMES = ("sgd", "rmsprop", "adamw")
_DECAY_RULES = ("all", "kernels", "dense_kernels")
_LEAF_NAMES = ("kernel", "bias", "scale")
# slim's `--opt_epsilon` (train_image_classifier.py), far from the 1e-8 of other libraries.
_RMSPROP_EPSILON = 1.0
# Kingma and Ba, 1412.6980, algorithm 1.
_ADAM_EPSILON = 1e-8


def make_optimizer(
    optimizer: ml_collections.ConfigDict,
    schedule: optax.Schedule,
    params: PyTree[Float[Array, "..."] | jax.ShapeDtypeStruct],
    head: Collection[str],
) -> optax.GradientTransformation:
    """Builds the optimizer that `config.optimizer` describes.

    The gradient is first clipped to `clip_norm`, if given, by the norm over all parameters. Weight
    decay comes after, so it is never clipped. For `sgd` and `rmsprop` it is an L2 loss as in slim:
    weight_decay * w is added to the gradient. For `adamw` it is decoupled: learning rate times
    weight_decay * w is subtracted (Loshchilov and Hutter, 1711.05101, algorithm 2).

    - `sgd`: v = momentum * v + g; w -= learning rate * v, or with `nesterov`
      w -= learning rate * (g + momentum * v). The learning rate is outside v, as in PyTorch.
    - `rmsprop`: TensorFlow's (tf.train.RMSPropOptimizer, kernel ApplyRMSProp), which slim used:
      s = rms_decay * s + (1 - rms_decay) * g^2 from s = 1, m = momentum * m + learning rate * g /
      sqrt(s + epsilon), w -= m. The root holds epsilon, and the learning rate is inside m, so a
      change of it takes several steps to be felt. epsilon: None is slim's 1.0.
    - `adamw`: beta1, beta2; epsilon outside the root, None is 1e-8.

    `body_rate` scales the learning rate of all parameters but those of the head, and with it the
    decay of `adamw`. Their moving statistics follow the batches also where it is 0.

    Args:
      optimizer: the section `config.optimizer`.
      schedule: learning rate as a function of the number of finished steps.
      params: nested dict of parameters or of their shapes; only its structure is read.
      head: the names in `params` of what belongs to the task and not to the backbone.

    Raises:
      ConfigError: an unknown name or rule, or a value that makes no sense.
    """
    _check(optimizer)
    decay = optax.add_decayed_weights(
        optimizer.weight_decay, decay_mask(params, optimizer.weight_decay_on)
    )
    to_rate = optax.scale_by_learning_rate(schedule)
    epsilon = optimizer.epsilon
    stages: list[optax.GradientTransformation]
    if optimizer.name == "sgd":
        stages = [decay, optax.trace(optimizer.momentum, nesterov=optimizer.nesterov), to_rate]
    elif optimizer.name == "rmsprop":
        epsilon = _RMSPROP_EPSILON if epsilon is None else epsilon
        scale = optax.scale_by_rms(
            optimizer.rms_decay, eps=epsilon, initial_scale=1.0, eps_in_sqrt=True
        )
        stages = [decay, scale, to_rate, optax.trace(optimizer.momentum)]
    else:
        epsilon = _ADAM_EPSILON if epsilon is None else epsilon
        scale = _promote_implicitly(
            optax.scale_by_adam(optimizer.beta1, optimizer.beta2, eps=epsilon)
        )
        stages = [scale, decay, to_rate]
    if optimizer.clip_norm is not None:
        stages = [optax.clip_by_global_norm(optimizer.clip_norm), *stages]
    if optimizer.body_rate != 1:
        stages = [*stages, _scale_body(optimizer.body_rate, head)]
    return optax.chain(*stages)


def decay_mask(
    params: PyTree[Float[Array, "..."] | jax.ShapeDtypeStruct], rule: str
) -> PyTree[bool]:
    """Says for every parameter whether weight decay applies to it.

    Rules:
      all: every parameter (torchvision's recipe of MobileNetV2 IMAGENET1K_V1).
      kernels: every convolution, depthwise and classifier kernel; no bias, no BatchNorm parameter
        (torchvision's IMAGENET1K_V2 recipe sets norm decay 0).
      dense_kernels: as `kernels`, without depthwise ones (slim's arg scopes; MobileNetV1, section
        3.2: "very little or no weight decay on the depthwise filters").

    Args:
      params: nested dict whose leaves are named kernel, bias or scale; a depthwise kernel lies
        directly in a dict named `depthwise`.
      rule: one of the names above.

    Returns:
      A tree of the same structure with a bool for every parameter.

    Raises:
      ConfigError: an unknown rule.
      ValueError: a leaf of another name, about which the rules say nothing.
    """
    if rule not in _DECAY_RULES:
        raise ConfigError(
            f"config.optimizer.weight_decay_on must be one of {', '.join(_DECAY_RULES)}, "
            f"not {rule!r}."
        )

    def decays(path: tuple[jax.tree_util.DictKey, ...], _: object) -> bool:
        names = [key.key for key in path]
        if names[-1] not in _LEAF_NAMES:
            raise ValueError(
                f"No weight decay rule covers the parameter {'/'.join(names)}: its name must be "
                f"one of {', '.join(_LEAF_NAMES)}, or decay_mask must learn about it."
            )
        if rule == "all":
            return True
        if names[-1] != "kernel":
            return False
        return rule == "kernels" or names[-2:-1] != ["depthwise"]

    return jax.tree_util.tree_map_with_path(decays, params)


def _scale_body(rate: float, head: Collection[str]) -> optax.GradientTransformation:
    """Scales the updates of all parameters but those of the head."""

    def scale(path: tuple[jax.tree_util.DictKey, ...], update: jax.Array) -> jax.Array:
        return update if path[0].key in head else update * rate

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scale, updates))


def _promote_implicitly(transform: optax.GradientTransformation) -> optax.GradientTransformation:
    """Lets a transform of optax work where JAX is told to promote no dtypes.

    optax's bias correction raises a float to the power of an int32 count.
    """

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        with jax.numpy_dtype_promotion("standard"):
            return transform.update(updates, state, params)

    return optax.GradientTransformation(transform.init, update)


def _check(optimizer: ml_collections.ConfigDict) -> None:
    if optimizer.name not in _NAMES:
        raise ConfigError(
            f"config.optimizer.name must be one of {', '.join(_NAMES)}, not {optimizer.name!r}."
        )
    for key in ("momentum", "rms_decay", "beta1", "beta2"):
        if not 0 <= optimizer[key] < 1:
            raise ConfigError(
                f"config.optimizer.{key} must be at least 0 and below 1, not {optimizer[key]}."
            )
    if not 0 <= optimizer.body_rate <= 1:
        raise ConfigError(
            f"config.optimizer.body_rate must be from 0 to 1, not {optimizer.body_rate}: it is a "
            "share of the classifier's learning rate."
        )
    if not optimizer.weight_decay >= 0:
        raise ConfigError(
            f"config.optimizer.weight_decay must be at least 0, not {optimizer.weight_decay}."
        )
    for key, meaning in (("epsilon", "the optimizer's own default"), ("clip_norm", "no clipping")):
        value = optimizer[key]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and value > 0):
            raise ConfigError(
                f"config.optimizer.{key} must be above 0, or None for {meaning}, not {value!r}."
            )
