"""V2 figure 6a: a linear bottleneck against one with ReLU6."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mobilenet.figures.curves import check_variants, draw_curves
from mobilenet.figures.run_groups import comparable_groups, key_of, of_family
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group

_NAMES = {"linear": "linear", "relu6": "ReLU6"}
_SHORTCUTS = {
    "bottleneck": "with shortcut",
    "expansion": "shortcut between expansions",
    "none": "no shortcut",
}


def variants(runs: Sequence[Run]) -> list[Group]:
    """Returns the V2 runs by bottleneck and shortcut.

    A footnote of V2 section 3.2 says that nonlinearities hurt less with shortcuts: it takes both.

    Raises:
      UserError: they have one kind of bottleneck, or differ in something else.
    """
    compared = ("model.bottleneck", "model.shortcut")
    groups = comparable_groups(
        of_family(runs, "mobilenet_v2", "bottleneck"), "bottleneck", compared
    )
    kinds = [key_of(group, "model.bottleneck") for group in groups]
    check_variants(groups, kinds, "model.bottleneck", "bottleneck")
    return groups


def draw(runs: Sequence[Run]) -> Figure:
    """Draws the curves of V2 runs by bottleneck, and by shortcut where that differs too.

    Raises:
      UserError: as `variants`.
    """
    groups = variants(runs)
    several = len({key_of(group, "model.shortcut") for group in groups}) > 1

    def label(group: Group) -> str:
        shortcut = f", {_SHORTCUTS[key_of(group, 'model.shortcut')]}" if several else ""
        return _NAMES[key_of(group, "model.bottleneck")] + shortcut

    return draw_curves(groups, label, title="Linear against ReLU6 bottlenecks (V2 figure 6a)")
