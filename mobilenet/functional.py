"""The network as pure functions of plain pytrees, so that nothing behind it depends on Flax."""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import nnx
from jaxtyping import Array, Float

from mobilenet.chunks import apply_in_chunks
from mobilenet.models import MobileNet

Tree = dict[str, Any]


class Functions(NamedTuple):
    """A network in its two modes."""

    # (params, batch_stats, images, dropout_key) -> (logits, batch_stats)
    train: Callable[[Tree, Tree, Float[Array, "n h w 3"], Array], tuple[Array, Tree]]
    # (params, batch_stats, images) -> logits
    evaluate: Callable[[Tree, Tree, Float[Array, "n h w 3"]], Array]


def split_model(model: MobileNet) -> tuple[Functions, Tree, Tree]:
    """Returns the network's functions, its parameters and its moving statistics.

    Both trees are nested dicts named after the modules: `params["block_3"]["expand"]["kernel"]`.
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

    def evaluate(params: Tree, batch_stats: Tree, images: Array) -> Array:
        network = nnx.merge(eval_graph, params, batch_stats)
        # With moving statistics no image depends on another.
        return apply_in_chunks(network, images)

    return (
        Functions(train, evaluate),
        nnx.to_pure_dict(params),
        nnx.to_pure_dict(batch_stats),
    )
