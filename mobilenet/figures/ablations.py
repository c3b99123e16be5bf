"""V2 figure 6: linear against ReLU6 bottlenecks (6a), and where the shortcuts are (6b)."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mobilenet.errors import UserError
from mobilenet.figures.curves import check_variants, draw_curves
from mobilenet.figures.run_groups import comparable_groups, key_of, of_family
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group

_BOTTLENECK, _SHORTCUT = "model.bottleneck", "model.shortcut"
_BOTTLENECKS = {"linear": "linear", "relu6": "ReLU6"}
_BESIDE = {
    "bottleneck": "with shortcut",
    "expansion": "shortcut between expansions",
    "none": "no shortcut",
}
_SHORTCUTS = {
    "bottleneck": "between bottlenecks",
    "expansion": "between expansions",
    "none": "no shortcut",
}


def draw_bottleneck(runs: Sequence[Run]) -> Figure:
    """Draws the curves of V2 runs by bottleneck, and by shortcut where that differs too.

    A footnote of V2 section 3.2 says that nonlinearities hurt less with shortcuts: it takes both.

    Raises:
      UserError: they have one kind of bottleneck, or differ in something else.
    """
    groups = _variants(of_family(runs, "mobilenet_v2", "bottleneck"), _BOTTLENECK, "bottleneck")
    several = len({key_of(group, _SHORTCUT) for group in groups}) > 1

    def label(group: Group) -> str:
        shortcut = f", {_BESIDE[key_of(group, _SHORTCUT)]}" if several else ""
        return _BOTTLENECKS[key_of(group, _BOTTLENECK)] + shortcut

    return draw_curves(groups, label, title="Linear against ReLU6 bottlenecks (V2 figure 6a)")


def draw_shortcut(runs: Sequence[Run]) -> Figure:
    """Draws the curves of V2 runs with linear bottlenecks by shortcut.

    Raises:
      UserError: they have one kind of shortcut, or differ in something else.
    """
    family = of_family(runs, "mobilenet_v2", "shortcut")
    linear = [run for run in family if run.key(_BOTTLENECK) in (None, "linear")]
    if not linear:
        raise UserError(
            "None of the runs has linear bottlenecks, which shortcut compares: name some with "
            "config.model.bottleneck=linear."
        )
    return draw_curves(
        _variants(linear, _SHORTCUT, "shortcut"),
        lambda group: _SHORTCUTS[key_of(group, _SHORTCUT)],
        title="Shortcuts (V2 figure 6b)",
    )


def _variants(runs: Sequence[Run], key: str, figure: str) -> list[Group]:
    groups = comparable_groups(runs, figure, (_BOTTLENECK, _SHORTCUT))
    check_variants(groups, [key_of(group, key) for group in groups], key, figure)
    return groups
