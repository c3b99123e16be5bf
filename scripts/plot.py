"""Draws one figure of the papers from finished runs, or from the architectures alone.

    python scripts/plot.py tradeoff --runs=runs/tradeoff --out=tradeoff.svg
    python scripts/plot.py tradeoff --runs=results/tradeoff.jsonl --x=params --out=params.png
    python scripts/plot.py bottleneck --runs=runs/bottleneck --out=bottleneck.pdf
    python scripts/plot.py activations --runs=runs/cifar10 --out=activations.png
    python scripts/plot.py memory --out=memory.svg

tradeoff: accuracy against multiply-adds or parameters (V2 figure 5, V1 figures 4 and 5).
bottleneck, shortcut: accuracy during training (V2 figures 6a and 6b).
expansion: accuracy and multiply-adds against the expansion factor (V2 section 4).
relu_embedding: what ReLU keeps of its input (V2 figure 1, appendix A). Needs no runs.
activations: positive channels by layer, from one run directory and its data (V2 figure 7).
memory: activations, V1 against V2 (V2 table 3). Needs no runs.
cost_breakdown: cost by type of layer (V1 table 2). Needs no runs.

Numbers that others published are hollow and grey, and named so.
"""

from collections.abc import Sequence

from absl import flags

from mobilenet.figures.plot import plot
from mobilenet.runtime.entry_point import run

_OUT = flags.DEFINE_string("out", None, "The file; it ends in .png, .svg or .pdf.")

_OPTIONS = {
    holder.name: holder
    for holder in (
        flags.DEFINE_list("runs", None, "Run directories, folders of them, or .jsonl files."),
        flags.DEFINE_enum("x", "madds", ["madds", "params"], "tradeoff: the cost on the x axis."),
        flags.DEFINE_bool("published", True, "tradeoff: draw the published accuracies as well."),
        flags.DEFINE_integer("seed", 0, "relu_embedding: of its random matrices.", 0),
        flags.DEFINE_integer("num_images", 256, "activations: how many images to look at.", 1),
        flags.DEFINE_string("data_dir", None, "activations: the datasets; by default the run's."),
    )
}


def main(names: Sequence[str]) -> None:
    options = {name: flag.value for name, flag in _OPTIONS.items()}
    given = [name for name, flag in _OPTIONS.items() if flag.present]
    plot(names, _OUT.value, options, given)


if __name__ == "__main__":
    run(main, takes_words=True)
