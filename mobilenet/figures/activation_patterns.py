"""V2 figure 7: how many channels of each expansion are positive, before and after training."""

import contextlib
import dataclasses
import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import nnx
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mobilenet.data.datasets import Split, open_split
from mobilenet.data.of_config import eval_batches
from mobilenet.data.pipeline import Target
from mobilenet.data.records import Record, RecordSource
from mobilenet.errors import UserError
from mobilenet.figures.style import BLACK, BLUE, VERMILLION, new_figure, styled
from mobilenet.networks.architecture import Architecture
from mobilenet.networks.functional import Tree, split_model
from mobilenet.networks.initialization import initialize
from mobilenet.networks.models import MobileNet
from mobilenet.networks.preprocessing import normalize
from mobilenet.runs.weights import open_weights
from mobilenet.runtime.formatting import format_size

# Images that go through the network together.
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class LayerCounts:
    """Positive channels after one expansion's ReLU6, over all positions of all images.

    `histogram[k]` is the number of positions with k positive channels.
    """

    name: str
    inputs: int  # channels of the bottleneck before the expansion
    channels: int  # after it
    histogram: tuple[int, ...]

    @property
    def threshold(self) -> float:
        """Share of the channels above which ReLU can be inverted: as many as there are inputs.

        V2 appendix A, lemma 2; 1/6 in V2, as figure 7 has it, but for rounded widths.
        """
        return self.inputs / self.channels

    def share(self, quantile: float) -> float:
        """Returns the share of channels that a part of the positions does not exceed.

        0 is the minimum over the positions and 1 the maximum.
        """
        reached = np.cumsum(self.histogram)
        # At least one position: the lowest count that occurs.
        wanted = max(quantile * reached[-1], 1)
        return int(np.searchsorted(reached, wanted)) / self.channels

    @property
    def mean(self) -> float:
        """Mean share of positive channels."""
        counts = np.arange(len(self.histogram))
        return float(np.average(counts, weights=self.histogram)) / self.channels

    @property
    def below(self) -> float:
        """Share of the positions with fewer positive channels than the threshold."""
        return sum(self.histogram[: self.inputs]) / sum(self.histogram)


def count_positive(
    module: MobileNet,
    params: Tree,
    batch_stats: Tree,
    images: Float[np.ndarray, "n h w 3"],
    *,
    batch_statistics: bool,
) -> list[LayerCounts]:
    """Counts the positive channels of every inverted residual's expansion.

    Args:
      module: gives the shape of the network.
      params: its parameters.
      batch_stats: its moving statistics.
      images: normalised, in whole batches of 32 or fewer than that.
      batch_statistics: normalise with the statistics of each batch, as a training step does,
        instead of the moving ones.
    """
    layers = _expansions(module.architecture)
    graph = _graph(module, training=batch_statistics)

    @jax.jit
    def count(params: Tree, batch_stats: Tree, images: jax.Array) -> dict[str, jax.Array]:
        # The copy takes the moving statistics that a training step would keep.
        network = nnx.merge(graph, params, batch_stats, copy=True)
        outputs = network.endpoints(images, tuple(layers))
        return {name: (outputs[name] > 0).sum(-1) for name in layers}

    histograms = {name: np.zeros(channels + 1, np.int64) for name, (_, channels) in layers.items()}
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        for name, counts in jax.device_get(count(params, batch_stats, batch)).items():
            histogram = histograms[name]
            histogram += np.bincount(np.ravel(counts), minlength=len(histogram))
    return [
        LayerCounts(name, inputs, channels, tuple(map(int, histograms[name])))
        for name, (inputs, channels) in layers.items()
    ]


def patterns(
    run: str | os.PathLike[str], num_images: int, data_dir: str | None = None
) -> tuple[list[LayerCounts], list[LayerCounts], str]:
    """Returns the counts of a run's initial weights, those of its last ones, and a description.

    The initial weights are normalised by the statistics of batches of 32 images, as in the first
    steps, for there are no moving statistics yet; the last ones by the moving statistics. The
    average of the weights is taken if the run keeps one, as in its evaluations.

    Args:
      run: the directory of a run of V2.
      num_images: how many images of its evaluation split, spread evenly over it.
      data_dir: None is the run's own.

    Raises:
      UserError: no such run, checkpoint or dataset, or a network without expansions.
    """
    opened = open_weights(run)
    network, config = opened.network, opened.config.copy_and_resolve_references().unlock()
    config.data.num_workers = 0  # few images need no processes
    if data_dir is not None:
        config.data.data_dir = data_dir
    split = open_split(config.data, config.data.eval_split)
    if not _expansions(network.architecture):
        raise UserError(
            f"The network of the run {opened.directory} has no expansions, whose outputs "
            "activations counts: name a run of MobileNetV2 with an expansion above 1."
        )
    images = _read_images(config, network.task.target, split, num_images)
    # Batches here are no groups.
    architecture = dataclasses.replace(network.architecture, norm_group_size=None)
    module = MobileNet(architecture, network.module.dtype)
    _, params, batch_stats = split_model(initialize(nnx.clone(module), config.seed))
    # One device is enough for a few images.
    end_params, end_stats = jax.device_get((opened.params, opened.batch_stats))
    pixels = format_size(network.architecture.resolution)
    title = f"MobileNetV2 {network.architecture.width:g} at {pixels} pixels"
    return (
        count_positive(module, params, batch_stats, images, batch_statistics=True),
        count_positive(module, end_params, end_stats, images, batch_statistics=False),
        f"{title}, {opened.step:,} steps on {split.name}, {len(images)} images of its split "
        f"{split.split}",
    )


@styled
def draw(run: str | os.PathLike[str], num_images: int = 256, data_dir: str | None = None) -> Figure:
    """Draws the share of positive channels by block, before and after training.

    Args, Raises: as `patterns`.
    """
    before, after, description = patterns(run, num_images, data_dir)
    figure = new_figure(
        7.8,
        3.9,
        title="Positive channels after the expansions (V2 figure 7)",
        caption=f"{description}. Share of each expansion's channels, counted at every position; "
        "the threshold is the channels before the expansion, V2 appendix A, lemma 2. Initial "
        "weights are normalised by the statistics of each batch, trained ones by the moving "
        "statistics.",
    )
    # The legend has a row of its own, for the bands may reach anywhere.
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 0.06))
    panels = [figure.add_subplot(grid[0, column]) for column in (0, 1)]
    for axis, layers, title in zip(
        panels, (before, after), ("Initial weights", "After training"), strict=True
    ):
        _draw_layers(axis, layers)
        axis.set_title(title)
        axis.set_ylabel("Positive channels (%)")
        axis.set_ylim(0, 100)
    legend = figure.add_subplot(grid[1, :])
    legend.set_axis_off()
    legend.legend(*panels[0].get_legend_handles_labels(), loc="center", ncols=4)
    return figure


def _draw_layers(axis: Axes, layers: Sequence[LayerCounts]) -> None:
    places = [int(layer.name.partition("/")[0].removeprefix("block_")) for layer in layers]

    def percent(quantile: float) -> list[float]:
        return [100 * layer.share(quantile) for layer in layers]

    axis.fill_between(
        places, percent(0), percent(1), color=BLUE, alpha=0.2, linewidth=0, label="min to max"
    )
    axis.fill_between(
        places, percent(0.05), percent(0.95), color=BLUE, alpha=0.4, linewidth=0, label="5 to 95 %"
    )
    axis.plot(places, [100 * layer.mean for layer in layers], color=BLACK, marker="o", label="mean")
    axis.plot(
        places,
        [100 * layer.threshold for layer in layers],
        color=VERMILLION,
        linestyle="--",
        label="threshold of invertibility",
    )
    axis.set_xlabel("Block")
    axis.set_xticks(places[:: max(1, len(places) // 8)])


def _expansions(architecture: Architecture) -> dict[str, tuple[int, int]]:
    """Names of the expansions, with the channels before and after each."""
    return {
        f"{block.name}/{layer.name}": (layer.in_channels, layer.out_channels)
        for block in architecture.blocks
        for layer in block.layers
        if layer.name == "expand"
    }


def _graph(module: MobileNet, *, training: bool) -> nnx.GraphDef:
    if training:
        module.train()
    else:
        module.eval()
    return nnx.graphdef(module)


@dataclasses.dataclass(frozen=True)
class _Spread:
    """Records at equal distances: a dataset may be sorted by class."""

    source: RecordSource
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        return self.source[index * len(self.source) // self.size]


def _read_images(
    config: ml_collections.ConfigDict, target: Target, split: Split, number: int
) -> Float[np.ndarray, "n h w 3"]:
    """Images as the evaluation sees them, normalised, in whole batches where there are several."""
    number = min(number, split.num_examples)
    part = dataclasses.replace(split, num_examples=number, source=_Spread(split.source, number))
    config.evaluation.batch_size = min(number, _BATCH)
    with contextlib.closing(eval_batches(config, part, target)) as batches:  # ends its threads
        images = np.concatenate([batch["images"][batch["mask"] > 0] for batch in batches])
    if len(images) > _BATCH:
        images = images[: len(images) // _BATCH * _BATCH]
    return np.asarray(normalize(jnp.asarray(images), config.augment.mean, config.augment.stddev))
