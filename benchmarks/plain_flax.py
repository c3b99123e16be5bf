"""The same rows as one writes them with Flax's own layers, and XLA's grouped convolution."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from mobilenet.networks.architecture import Architecture
from mobilenet.networks.blocks import Layer
from mobilenet.networks.functional import Tree

# (params, batch_stats, images) -> (logits, batch_stats)
PlainFunction = Callable[[Tree, Tree, jax.Array], tuple[jax.Array, Tree]]


class PlainMobileNet(nnx.Module):
    """`nnx.Conv`, `nnx.BatchNorm` and `nnx.Linear` in sequence; no dropout."""

    def __init__(self, architecture: Architecture, dtype: jnp.dtype):
        self.blocks = architecture.blocks
        rngs = nnx.Rngs(0)
        layers = [layer for block in self.blocks for layer in block.layers]
        self.convolutions = nnx.List([_convolution(layer, dtype, rngs) for layer in layers])
        self.norms = nnx.List(
            [
                nnx.BatchNorm(
                    layer.out_channels,
                    momentum=architecture.norm_momentum,
                    epsilon=architecture.norm_epsilon,
                    dtype=dtype,
                    rngs=rngs,
                )
                for layer in layers
            ]
        )
        self.logits = nnx.Linear(architecture.feature_channels, architecture.num_classes, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Returns logits[batch, classes] of images[batch, side, side, 3], both float32."""
        layers, x = zip(self.convolutions, self.norms, strict=True), images
        for block in self.blocks:
            inputs = x
            for layer in block.layers:
                convolution, norm = next(layers)
                x = norm(convolution(x))
                x = x if layer.activation == "linear" else jax.nn.relu6(x)
            x = x + inputs if block.shortcut == "bottleneck" else x
        return self.logits(x.astype(jnp.float32).mean((1, 2)))


def split_plain(network: PlainMobileNet) -> tuple[PlainFunction, Tree, Tree]:
    """Returns the network in training as a function of plain trees, parameters, statistics."""
    graph = nnx.graphdef(network)
    params, batch_stats = (
        nnx.to_pure_dict(nnx.state(network, kind)) for kind in (nnx.Param, nnx.BatchStat)
    )

    def apply(params: Tree, batch_stats: Tree, images: jax.Array) -> tuple[jax.Array, Tree]:
        network = nnx.merge(graph, params, batch_stats, copy=True)
        logits = network(images)
        return logits, nnx.to_pure_dict(nnx.state(network, nnx.BatchStat))

    return apply, params, batch_stats


def _convolution(layer: Layer, dtype: jnp.dtype, rngs: nnx.Rngs) -> nnx.Conv:
    return nnx.Conv(
        layer.in_channels,
        layer.out_channels,
        (layer.kernel_size, layer.kernel_size),
        strides=layer.stride,
        feature_group_count=layer.in_channels if layer.operator == "depthwise" else 1,
        use_bias=False,
        dtype=dtype,
        rngs=rngs,
    )
