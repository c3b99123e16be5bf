"""A convolution, its normalisation and activation, and the classifier, as Flax NNX modules.

Modules are made of shapes alone. `mobilenet.networks.initialization` gives them their first values.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from mobilenet.errors import UserError
from mobilenet.networks.architecture import Architecture
from mobilenet.networks.blocks import Layer
from mobilenet.ops.activations import ACTIVATIONS
from mobilenet.ops.convolution import conv
from mobilenet.ops.depthwise import depthwise_conv
from mobilenet.ops.folding import linear_statistics, shift_and_activate
from mobilenet.ops.normalization import normalize_groups
from mobilenet.ops.pointwise import pointwise_conv

# An expansion is wider than its input by this factor at least, so that the covariance of what goes
# in takes a quarter of the product's arithmetic at most. No other factor was tried.
_MIN_EXPANSION = 4


class BatchNorm(nnx.Module):
    """Normalises each channel; statistics and arithmetic are float32 for narrower inputs too.

    It is called in training alone: over groups of `group_size` images of the batch, and the moving
    statistics follow the mean over the groups. Their variance is the biased one, as TensorFlow's.
    In evaluation `ConvNorm` folds the moving statistics into its convolution.
    """

    def __init__(
        self, channels: int, *, epsilon: float, momentum: float, group_size: int | None = None
    ):
        shape = jax.ShapeDtypeStruct((channels,), jnp.float32)
        self.scale, self.bias = nnx.Param(shape), nnx.Param(shape)
        self.mean, self.var = nnx.BatchStat(shape), nnx.BatchStat(shape)
        self.epsilon = epsilon
        self.momentum = momentum
        self.group_size = group_size
        self.use_running_average = False

    def __call__(
        self, x: Float[Array, "n h w c"], activation: str = "linear"
    ) -> Float[Array, "n h w c"]:
        """Normalises and applies the activation.

        Raises UserError if the batch is not made of whole groups.
        """
        result, mean, var = normalize_groups(
            self.split(x), self.scale[...], self.bias[...], self.epsilon, activation
        )
        self.follow(mean, var)
        return result.reshape(x.shape)

    def split(self, x: Float[Array, "n h w c"]) -> Float[Array, "g m h w c"]:
        """Splits a batch into its groups. Raises UserError if it is not made of whole ones."""
        images = x.shape[0]
        size = self.group_size or images
        if images % size:
            raise UserError(
                f"norm_group_size={size} does not divide a batch of {images} images: "
                "choose a divisor of the batch size."
            )
        return x.reshape(images // size, size, *x.shape[1:])

    def follow(self, mean: Float[Array, "g c"], var: Float[Array, "g c"]) -> None:
        """Moves the statistics towards the mean over the groups."""
        keep = self.momentum
        # Assigning to [...] compares shardings, which takes a tenth of the time to trace a step.
        self.mean.set_value(keep * self.mean[...] + (1 - keep) * mean.mean(0))
        self.var.set_value(keep * self.var[...] + (1 - keep) * var.mean(0))

    def moving(self) -> tuple[Float[Array, "1 c"], Float[Array, "1 c"]]:
        """Returns the moving mean and variance, as those of one group."""
        return self.mean[...][None], self.var[...][None]

    def affine(
        self, mean: Float[Array, "g c"], var: Float[Array, "g c"]
    ) -> tuple[Float[Array, "g c"], Float[Array, "g c"]]:
        """Returns the factor and the shift that normalise with these statistics."""
        factor = lax.rsqrt(var + self.epsilon) * self.scale[...][None]
        return factor, self.bias[...][None] - mean * factor


class ConvNorm(nnx.Module):
    """One `Layer`: convolution without bias, BatchNorm, activation."""

    def __init__(self, layer: Layer, architecture: Architecture):
        size = layer.kernel_size
        inputs = 1 if layer.operator == "depthwise" else layer.in_channels
        self.kernel = nnx.Param(_float32(size, size, inputs, layer.out_channels))
        self.norm = BatchNorm(
            layer.out_channels,
            epsilon=architecture.norm_epsilon,
            momentum=architecture.norm_momentum,
            group_size=architecture.norm_group_size,
        )
        self.layer = layer
        self.padding = architecture.padding

    def __call__(
        self, x: Float[Array, "n h w c"], residual: Float[Array, "n h2 w2 d"] | None = None
    ) -> Float[Array, "n h2 w2 d"]:
        """Applies the layer; `residual` is added before the activation."""
        layer, norm, kernel = self.layer, self.norm, self.kernel[...]
        if norm.use_running_average:
            return self._folded(x[None], *norm.moving(), residual)
        if self.is_expansion():
            groups = norm.split(x)
            return self._folded(groups, *self.follow_inputs(groups), residual)
        if residual is None:
            return norm(self._convolve(x, kernel), layer.activation)
        return ACTIVATIONS[layer.activation](norm(self._convolve(x, kernel)) + residual)

    def follow_inputs(
        self, groups: Float[Array, "g n h w c"]
    ) -> tuple[Float[Array, "g d"], Float[Array, "g d"]]:
        """Returns the statistics of an expansion's outputs, which the moving ones follow."""
        mean, var = linear_statistics(groups, self.kernel[...][0, 0])
        self.norm.follow(mean, var)
        return mean, var

    def _folded(self, groups: Array, mean: Array, var: Array, residual: Array | None) -> Array:
        """Applies the layer to groups of images whose outputs have these statistics."""
        factor, shift = self.norm.affine(mean, var)
        kernels = self.kernel[...][None] * factor[:, None, None, None]
        if len(groups) == 1:
            outputs = self._convolve(groups[0], kernels[0])[None]
        else:
            outputs = jax.vmap(self._convolve)(groups, kernels)
        if residual is not None:
            outputs = outputs + residual.reshape(outputs.shape)
        outputs = shift_and_activate(outputs, shift, self.layer.activation)
        return outputs.reshape(-1, *outputs.shape[2:])

    def is_expansion(self) -> bool:
        layer = self.layer
        is_pointwise = layer.operator == "conv" and (layer.kernel_size, layer.stride) == (1, 1)
        return is_pointwise and layer.out_channels >= _MIN_EXPANSION * layer.in_channels

    def _convolve(self, x: Array, kernel: Array) -> Array:
        layer, kernel = self.layer, kernel.astype(x.dtype)
        if (layer.kernel_size, layer.stride) == (1, 1) and layer.operator == "conv":
            return pointwise_conv(x, kernel[0, 0])
        convolve = depthwise_conv if layer.operator == "depthwise" else conv
        return convolve(
            x, kernel, stride=layer.stride, dilation=layer.dilation, padding=self.padding
        )


def apply_fused(
    expand: ConvNorm, depthwise: ConvNorm, x: Float[Array, "n h w c"]
) -> Float[Array, "n h2 w2 d"]:
    """Applies an expansion and the layer behind it in training, normalised over all images.

    The same as one after the other, on TPU by kernels that never store the expansion. `can_fuse`
    of `mobilenet.ops.fused.operation` must hold.
    """
    # Only here: Pallas takes a moment to import, and few programs use it.
    from mobilenet.ops.fused.operation import fused_expansion

    norm = depthwise.norm
    factor, shift = expand.norm.affine(*expand.follow_inputs(x[None]))
    outputs, mean, var = fused_expansion(
        x,
        (expand.kernel[...][0, 0] * factor).astype(x.dtype),
        shift[0],
        depthwise.kernel[...],
        norm.scale[...],
        norm.bias[...],
        activation=expand.layer.activation,
        stride=depthwise.layer.stride,
        dilation=depthwise.layer.dilation,
        norm_activation=depthwise.layer.activation,
        padding=depthwise.padding,
        epsilon=norm.epsilon,
    )
    norm.follow(mean[None], var[None])
    return outputs


class Classifier(nnx.Module):
    """Dropout and the dense layer that gives the logits, in float32."""

    def __init__(self, channels: int, num_classes: int, *, dropout: float):
        self.kernel = nnx.Param(_float32(channels, num_classes))
        self.bias = nnx.Param(_float32(num_classes))
        self.dropout = dropout
        self.deterministic = False

    def __call__(
        self, features: Float[Array, "n c"], dropout_key: Array | None = None
    ) -> Float[Array, "n classes"]:
        """Raises ValueError if features are to be dropped and there is no key."""
        if self.dropout > 0 and not self.deterministic:
            if dropout_key is None:
                raise ValueError("dropout in training needs dropout_key, or call model.eval().")
            keep = jax.random.bernoulli(dropout_key, 1 - self.dropout, features.shape)
            features = jnp.where(keep, features / (1 - self.dropout), 0)
        return features @ self.kernel[...] + self.bias[...][None]


def _float32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
