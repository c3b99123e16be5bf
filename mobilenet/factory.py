"""Networks by name, with weights or without: the face of the package."""

from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenet.networks.architecture import create_architecture
from mobilenet.networks.initialization import initialize
from mobilenet.networks.models import MobileNet
from mobilenet.weights.pretrained import load_pretrained

# Widths with published ImageNet accuracies: V1 table 6; V2 section 4 and slim's README.
PUBLISHED_WIDTHS = {
    "mobilenet_v1": (0.25, 0.5, 0.75, 1.0),
    "mobilenet_v2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
}


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
