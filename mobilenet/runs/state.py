"""Everything that training changes, as one plain pytree."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mobilenet.networks.functional import Tree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """What a checkpoint holds."""

    step: Any  # finished steps, an int32 scalar; JAX also builds trees of shardings and avals
    params: Tree
    batch_stats: Tree
    opt_state: optax.OptState
    ema: tuple[Tree, Tree] | None  # moving average of (params, batch_stats)

    @property
    def evaluated(self) -> tuple[Tree, Tree]:
        """Parameters and statistics to evaluate: the moving average where there is one."""
        return self.ema or (self.params, self.batch_stats)


def create_state(
    params: Tree, batch_stats: Tree, optimizer: optax.GradientTransformation, *, with_ema: bool
) -> TrainState:
    """Returns the state before the first step; the moving average starts at the first values."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.copy, (params, batch_stats)) if with_ema else None,
    )
