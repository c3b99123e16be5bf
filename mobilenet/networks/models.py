"""From an `Architecture` to a Flax NNX module, and names for the published ones."""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from mobilenet.errors import UserError
from mobilenet.networks.architecture import ARCHITECTURES, Architecture
from mobilenet.networks.blocks import Block
from mobilenet.networks.initialization import initialize
from mobilenet.networks.layers import Classifier, ConvNorm, apply_fused, scale_images
from mobilenet.networks.preprocessing import SLIM, Preprocessing
from mobilenet.ops.normalization import widen

# Widths with published ImageNet accuracies: V1 table 6; V2 section 4 and slim's README.
PUBLISHED_WIDTHS = {
    "mobilenet_v1": (0.25, 0.5, 0.75, 1.0),
    "mobilenet_v2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
}


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
            self.expand.layer, self.depthwise.layer, *x.shape[1:3]
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
    head = ("logits",)

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
        images: Float[Array, "n h w 3"] | UInt8[Array, "n h w 3"],
        dropout_key: Array | None = None,
    ) -> Float[Array, "n classes"]:
        """Returns float32 logits, or the pooled features of a network without classes.

        Float images are taken as they are; uint8 ones are scaled as `preprocessing` says: to
        [-1, 1], as slim does, or as published weights want them.
        `dropout_key` is needed in training only.
        """
        last = self.architecture.endpoints()[-1]
        return self.endpoints(images, (last,), dropout_key)[last]

    def endpoints(
        self,
        images: Float[Array, "n h w 3"] | UInt8[Array, "n h w 3"],
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
        scaled = scale_images(images, self.preprocessing.mean, self.preprocessing.stddev)
        x, expansion = scaled.astype(self.dtype), None
        for block in self.architecture.blocks:
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
            found["logits"] = self.logits(features, dropout_key)
        if missing := wanted - set(found):
            raise UserError(
                f"endpoint {sorted(missing)[0]!r}: fused expansions are never stored in training; "
                "build the network without fused_expansions."
            )
        return found


def create_architecture(name: str, **knobs: Any) -> Architecture:
    """Returns the architecture of a name such as `mobilenet_v2_140` or `mobilenet_v1`.

    The three digits are the width in hundredths; any width works. Without them the width is a knob.

    Raises:
      UserError: an unknown name or knob, or a value that the knob does not take.
    """
    match = re.fullmatch(r"(mobilenet_v[12])(?:_(\d{3}))?", name)
    if not match:
        raise UserError(
            f"model {name!r} does not exist: use mobilenet_v1 or mobilenet_v2, with the width in "
            "hundredths if you like, such as mobilenet_v2_140."
        )
    family, hundredths = match.groups()
    constructor = ARCHITECTURES[family]
    if hundredths and "width" in knobs:
        raise UserError(f"width={knobs['width']!r}: the name {name!r} holds the width already.")
    allowed = tuple(inspect.signature(constructor).parameters)
    if unknown := sorted(set(knobs) - set(allowed)):
        raise UserError(f"{unknown[0]}: {family} has no such knob; it has {', '.join(allowed)}.")
    if hundredths:
        knobs["width"] = int(hundredths) / 100
    return constructor(**knobs)


def create_model(
    name: str,
    num_classes: int | None = None,
    *,
    weights: str | None = None,
    seed: int = 0,
    dtype: DTypeLike = jnp.float32,
    **knobs: Any,
) -> MobileNet:
    """Returns an initialised network by name, or one with published weights, in training mode.

    Args:
      name: as in `create_architecture`; `list_models()` gives the published ones.
      num_classes: 0 leaves the classifier out, and the pooled features come out; None is 1000.
      weights: such as `torchvision`, `timm`, `keras`, `slim` or `transformers`, downloaded once, or
        `torchvision:/path/to/file`; all forms are in `mobilenet.weights.pretrained`. Padding,
        epsilon, resolution and scaling of uint8 images are then those of the weights.
      seed: of the initial parameters.
      dtype: compute type of the convolutions; parameters, statistics and logits stay float32.
      **knobs: as in `mobilenet.networks.architecture.mobilenet_v1` and `mobilenet_v2`.

    Raises:
      UserError: as `create_architecture`, or as `load_pretrained`.
    """
    if weights is not None:
        # Only here, as it imports this module and h5py.
        from mobilenet.weights.pretrained import load_pretrained

        return load_pretrained(name, weights, num_classes, seed=seed, dtype=dtype, **knobs).model
    classes = 1000 if num_classes is None else num_classes
    architecture = create_architecture(name, num_classes=classes, **knobs)
    return initialize(MobileNet(architecture, dtype), seed)


def list_models() -> list[str]:
    """Returns the names of the published widths; every other width works as well."""
    return [
        f"{family}_{round(100 * width):03d}"
        for family, widths in PUBLISHED_WIDTHS.items()
        for width in widths
    ]
