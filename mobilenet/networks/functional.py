"""The network as pure functions of plain pytrees, so that nothing behind it depends on Flax."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from mobilenet.networks.models import MobileNet
from mobilenet.ops.chunks import apply_in_chunks

Tree = dict[str, Any]


# (params, batch_stats, images, dropout_key) -> (logits, batch_stats)
TrainFunction = Callable[[Tree, Tree, Float[Array, "n h w 3"], Array], tuple[Array, Tree]]
# (params, batch_stats, images) -> logits
EvalFunction = Callable[[Tree, Tree, Float[Array, "n h w 3"]], Array]


class Functions(NamedTuple):
    """A network in its two modes."""

    train: TrainFunction
    evaluate: EvalFunction


def split_model(model: MobileNet, mesh: Mesh | None = None) -> tuple[Functions, Tree, Tree]:
    """Returns the network's functions, its parameters and its moving statistics.

    Both trees are nested dicts named after the modules: `params["block_3"]["expand"]["kernel"]`.

    Args:
      model: the network.
      mesh: where batches are split over its axis `data`, and no group of BatchNorm lies on two
        devices. Every device then trains on its own images as if it were alone, and gradients
        and statistics are what is summed. Left to XLA, the kernels of the groups make it move
        several times as many bytes.
    """
    model.eval()
    eval_graph = nnx.graphdef(model)
    model.train()
    train_graph = nnx.graphdef(model)
    params, batch_stats = nnx.state(model, nnx.Param), nnx.state(model, nnx.BatchStat)

    def train(params: Tree, batch_stats: Tree, images: Array, key: Array) -> tuple[Array, Tree]:
        # The copy keeps variables of different traces apart when this is differentiated.
        network = nnx.merge(train_graph, params, batch_stats, copy=True)
        logits = network(images, key)
        return logits, nnx.to_pure_dict(nnx.state(network, nnx.BatchStat))

    def features(params: Tree, batch_stats: Tree, images: Array) -> tuple[Array, Tree]:
        network = nnx.merge(train_graph, params, batch_stats, copy=True)
        pooled = network.endpoints(images, ("pool",))["pool"]
        batch_stats = nnx.to_pure_dict(nnx.state(network, nnx.BatchStat))
        return pooled, jax.lax.pmean(batch_stats, "data")

    def train_apart(
        params: Tree, batch_stats: Tree, images: Array, key: Array
    ) -> tuple[Array, Tree]:
        whole, split = PartitionSpec(), PartitionSpec("data")
        # The hand-written gradients do not say over which devices theirs are still to be summed.
        apart = jax.shard_map(
            features,
            mesh=mesh,
            in_specs=(whole, whole, split),
            out_specs=(split, whole),
            check_vma=False,
        )
        pooled, statistics = apart(params, batch_stats, images)
        # Outside, as dropout draws its numbers for the whole batch, on however many devices.
        network = nnx.merge(train_graph, params, batch_stats, copy=True)
        return network.classify(pooled, key), statistics

    def evaluate(params: Tree, batch_stats: Tree, images: Array) -> Array:
        network = nnx.merge(eval_graph, params, batch_stats)
        # With moving statistics no image depends on another.
        return apply_in_chunks(network, images)

    return (
        Functions(train if mesh is None else train_apart, evaluate),
        nnx.to_pure_dict(params),
        nnx.to_pure_dict(batch_stats),
    )
