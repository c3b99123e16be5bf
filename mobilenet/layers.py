"""A convolution with its normalisation and activation, and the classifier, as Flax NNX modules.

Modules are made of shapes alone. `mobilenet.initialization` gives them their first values.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from mobilenet.architecture import Architecture
from mobilenet.blocks import Layer
from mobilenet.depthwise import depthwise_conv
from mobilenet.normalization import BatchNorm
from mobilenet.padding import explicit_padding
from mobilenet.pointwise import pointwise_conv

ACTIVATIONS = {"relu6": jax.nn.relu6, "relu": jax.nn.relu, "linear": lambda x: x}


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
        x = self.norm(self._convolve(x))
        if residual is not None:
            x = x + residual
        return ACTIVATIONS[self.layer.activation](x)

    def _convolve(self, x: Array) -> Array:
        layer, kernel = self.layer, self.kernel[...].astype(x.dtype)
        if layer.operator == "depthwise":
            return depthwise_conv(
                x, kernel, stride=layer.stride, dilation=layer.dilation, padding=self.padding
            )
        if (layer.kernel_size, layer.stride) == (1, 1):
            return pointwise_conv(x, kernel[0, 0])
        pads = [
            explicit_padding(side, layer.kernel_size, layer.stride, layer.dilation, self.padding)
            for side in x.shape[1:3]
        ]
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(layer.stride, layer.stride),
            padding=pads,
            rhs_dilation=(layer.dilation, layer.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )


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


def scale_images(images: Array) -> Array:
    """Leaves float images as they are and scales uint8 ones to [-1, 1] (slim, inception)."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 127.5 - 1
    return images


def _float32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
