"""From an `Architecture` to a Flax NNX module."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer

from mobilenet.errors import UserError
from mobilenet.networks.architecture import Architecture
from mobilenet.networks.blocks import Block
from mobilenet.networks.layers import Classifier, ConvNorm, apply_fused
from mobilenet.networks.preprocessing import SLIM, Preprocessing, check_range, normalize
from mobilenet.ops.normalization import widen


class BlockModule(nnx.Module):
    """The layers of one `Block`, each an attribute under its own name, and the shortcut."""

    # Where the block has them.
    expand: ConvNorm
    depthwise: ConvNorm

    def __init__(self, block: Block, architecture: Architecture, *, fused_expansions: bool = False):
        self.block = block
        for layer in block.layers:
            setattr(self, layer.name, ConvNorm(layer, architecture))
        begins = block.layers[0].name == "expand" and self.expand.is_expansion()
        self.fused_expansion = fused_expansions and begins

    def __call__(
        self, x: Float[Array, "n h w c"], last_expansion: Float[Array, "n h2 w2 e"] | None
    ) -> dict[str, Array]:
        """Returns the output of every layer by its name, and that of the block under ''.

        `last_expansion` is the expansion of the block before, where that has one.
        """
        outputs, inputs, layers = {}, x, self.block.layers
        if self._fuses(x):
            x = outputs[layers[1].name] = apply_fused(self.expand, self.depthwise, x)
            layers = layers[2:]
        for layer in layers:
            joined = self.block.shortcut == "expansion" and layer.name == "expand"
            x = getattr(self, layer.name)(x, last_expansion if joined else None)
            outputs[layer.name] = x
        outputs[""] = x + inputs if self.block.shortcut == "bottleneck" else x
        return outputs

    def _fuses(self, x: Float[Array, "n h w c"]) -> bool:
        """Whether the first two layers are one operation for such a batch."""
        if not self.fused_expansion or self.depthwise.norm.use_running_average:
            return False
        # Only here: it imports Pallas, which takes a moment.
        from mobilenet.ops.fused.operation import can_fuse

        return self.depthwise.norm.group_size in (None, len(x)) and can_fuse(
            self.expand.layer.out_channels, self.depthwise.layer.stride, *x.shape[1:3]
        )


class MobileNet(nnx.Module):
    """Either network: blocks, global average pooling, classifier.

    Parameters are float32; convolutions compute in `dtype`. `model.train()` and `model.eval()`
    choose the behaviour of normalisation and dropout. A new module holds shapes: `create_model`
    initialises it, and `nnx.update` fills it with other values.

    With `fused_expansions` training computes an expansion and the depthwise convolution behind it
    as one operation where it can (`mobilenet.ops.fused.operation`), for a TPU; weights and results
    are the same.
    """

    # The parameters that belong to the task, and not to the backbone.
    task_parameters = ("logits",)

    def __init__(
        self,
        architecture: Architecture,
        dtype: DTypeLike = jnp.float32,
        preprocessing: Preprocessing = SLIM,
        *,
        fused_expansions: bool = False,
    ):
        self.architecture = architecture
        self.dtype = jnp.dtype(dtype)
        self.preprocessing = preprocessing
        for block in architecture.blocks:
            module = BlockModule(block, architecture, fused_expansions=fused_expansions)
            setattr(self, block.name, module)
        if architecture.num_classes:
            self.logits = Classifier(
                architecture.feature_channels,
                architecture.num_classes,
                dropout=architecture.dropout,
            )

    def __call__(
        self,
        images: Float[Array, "n h w 3"] | Integer[Array, "n h w 3"],
        dropout_key: Array | None = None,
    ) -> Float[Array, "n classes"]:
        """Returns float32 logits, or the pooled features of a network without classes.

        Float images are taken as they are; pixels of integer types, 0 to 255, are scaled as
        `preprocessing` says: to [-1, 1], as slim does, or as published weights want them.
        `dropout_key` is needed in training only.
        """
        last = self.architecture.endpoints()[-1]
        return self.endpoints(images, (last,), dropout_key)[last]

    def classify(
        self, features: Float[Array, "n features"], dropout_key: Array | None = None
    ) -> Float[Array, "n classes"]:
        """Returns the logits of pooled features, or these of a network without classes."""
        if not self.architecture.num_classes:
            return features
        return self.logits(features, dropout_key)

    def endpoints(
        self,
        images: Float[Array, "n h w 3"] | Integer[Array, "n h w 3"],
        names: Sequence[str] | None = None,
        dropout_key: Array | None = None,
    ) -> dict[str, Array]:
        """Returns activations by name; `names` of None means all of them.

        A layer is `block_3/expand`, a block `block_3`; besides there are `stem`, `head` (V2 only),
        `pool` and `logits`. Nothing behind the last name is computed.

        Raises:
          UserError: a name that the network does not have.
        """
        known = self.architecture.endpoints()
        wanted = set(known if names is None else names)
        if unknown := wanted - set(known):
            raise UserError(
                f"endpoint {sorted(unknown)[0]!r}: {self.architecture.name} has only "
                f"{', '.join(known)}."
            )
        found: dict[str, Array] = {}
        if jnp.issubdtype(images.dtype, jnp.integer):
            images = normalize(images, self.preprocessing.mean, self.preprocessing.stddev)
        else:
            check_range(images, self.preprocessing)
        x, expansion = images.astype(self.dtype), None
        for block in self.architecture.blocks:
            with jax.named_scope(block.name):  # in profiles
                outputs = getattr(self, block.name)(x, expansion)
            x, expansion = outputs[""], outputs.get("expand")
            for name, value in outputs.items():
                endpoint = f"{block.name}/{name}" if name else block.name
                if endpoint in wanted:
                    found[endpoint] = value
            if len(found) == len(wanted):
                return found
        features = widen(x).mean((1, 2))
        if "pool" in wanted:
            found["pool"] = features
        if "logits" in wanted:
            found["logits"] = self.classify(features, dropout_key)
        if missing := wanted - set(found):
            raise UserError(
                f"endpoint {sorted(missing)[0]!r}: fused expansions are never stored in training; "
                "build the network without fused_expansions."
            )
        return found
