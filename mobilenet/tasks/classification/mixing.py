"""Mixup and cutmix, on the device: every image of a batch is mixed with the one before it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float, Int

from mobilenet.errors import ConfigError
from mobilenet.tasks.pixels.augment import check_share
from mobilenet.tasks.pixels.erasing import between


class Mixture(NamedTuple):
    """What the labels of mixed images are: `shares` of their own, the rest of the `others`."""

    others: Int[Array, " n"]
    shares: Float[Array, " n"]  # float32

    def dominant(self, labels: Int[Array, " n"]) -> Int[Array, " n"]:
        """Returns the label with the larger share; the image's own of two equal ones."""
        return jnp.where(self.shares >= 0.5, labels, self.others)


def check_mixing(config: ml_collections.ConfigDict) -> None:
    """Raises ConfigError where a key of `config.augment` about mixing cannot work."""
    for key in ("mixup_alpha", "cutmix_alpha"):
        if not config[key] >= 0:
            raise ConfigError(
                f"config.augment.{key} is {config[key]}: it must be positive, or 0 for none."
            )
    check_share(config, "mix_probability")


def mix(
    images: Float[Array, "n h w 3"],
    labels: Int[Array, " n"],
    mask: Float[Array, " n"],
    key: Array,
    *,
    mixup_alpha: float,
    cutmix_alpha: float,
    probability: float,
) -> tuple[Float[Array, "n h w 3"], Mixture]:
    """Mixes a batch by mixup or by cutmix; with both on, by either with probability one half.

    As torchvision's references/classification/transforms.py and transforms/v2/_augment.py: one
    share, and for cutmix one box, is drawn for the batch, and the partner of an image is the one
    before it (the batch is in random order). An image whose mask is 0 is no partner: the one after
    it stays whole, so that nothing of what is masked weighs anything.

    Args:
      images: float32 pixel values.
      labels: their classes.
      mask: 1 for an image, 0 for padding or a corrupt record.
      key: of this batch.
      mixup_alpha: both parameters of the Beta distribution of the share (Zhang et al. 2017,
        arXiv:1710.09412); 0: no mixup.
      cutmix_alpha: the same of cutmix (Yun et al. 2019, arXiv:1905.04899); 0: no cutmix.
      probability: that the batch is mixed at all.

    Raises:
      ValueError: neither is on.
    """
    size = (images.shape[1], images.shape[2])
    chosen_key, either_key, mixup_key, cutmix_key = jax.random.split(key, 4)
    drawn = []
    if mixup_alpha:
        drawn.append(_mixup_weights(size, mixup_key, mixup_alpha))
    if cutmix_alpha:
        drawn.append(_cutmix_weights(size, cutmix_key, cutmix_alpha))
    if not drawn:
        raise ValueError("mixup_alpha and cutmix_alpha are both 0: there is nothing to mix.")
    weights, share = drawn[0]
    if len(drawn) == 2:
        is_mixup = jax.random.bernoulli(either_key)
        weights = jnp.where(is_mixup, weights, drawn[1][0])
        share = jnp.where(is_mixup, share, drawn[1][1])

    # The whole batch by one: each device passes a single image on.
    partners, others, partner_mask = (jnp.roll(x, 1, 0) for x in (images, labels, mask))
    is_mixed = jax.random.bernoulli(chosen_key, probability) & (mask > 0) & (partner_mask > 0)
    own = jnp.where(is_mixed[:, None, None], weights[None], 1)[..., None]
    mixed = own * images + (1 - own) * partners
    return mixed, Mixture(others, jnp.where(is_mixed, share, 1))


def _mixup_weights(
    size: tuple[int, int], key: Array, alpha: float
) -> tuple[Float[Array, "h w"], Float[Array, ""]]:
    """Returns the share of an image in each pixel of the mixture, and in its label."""
    share = jax.random.beta(key, alpha, alpha, dtype=jnp.float32)
    return jnp.broadcast_to(share, size), share


def _cutmix_weights(
    size: tuple[int, int], key: Array, alpha: float
) -> tuple[Float[Array, "h w"], Float[Array, ""]]:
    """As `_mixup_weights`: 0 in a box, whose centre may be so near an edge that it is cut there."""
    share_key, *place_keys = jax.random.split(key, 3)
    side = jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha, dtype=jnp.float32))
    edges = []
    for length, place_key in zip(size, place_keys, strict=True):
        center = jax.random.randint(place_key, (1,), 0, length, jnp.int32)
        half = jnp.floor(0.5 * side * length).astype(jnp.int32)[None]
        edges.append((jnp.maximum(center - half, 0), jnp.minimum(center + half, length)))
    rows, columns = (between(length, *pair)[0] for length, pair in zip(size, edges, strict=True))
    weights = 1 - (rows[:, None] & columns[None]).astype(jnp.float32)
    area = rows.sum(dtype=jnp.float32) * columns.sum(dtype=jnp.float32)
    # The label follows the pixels that were really taken (transforms/v2/_augment.py, CutMix).
    return weights, 1 - area / (size[0] * size[1])
