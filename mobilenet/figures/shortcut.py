"""V2 figure 6b: shortcuts between bottlenecks, between expansions, or none."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mobilenet.errors import UserError
from mobilenet.figures.curves import check_variants, draw_curves
from mobilenet.figures.run_groups import comparable_groups, key_of, of_family
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group

_NAMES = {
    "bottleneck": "between bottlenecks",
    "expansion": "between expansions",
    "none": "no shortcut",
}


def variants(runs: Sequence[Run]) -> list[Group]:
    """Returns the V2 runs with linear bottlenecks by shortcut.

    Raises:
      UserError: they have one kind of shortcut, or differ in something else.
    """
    family = of_family(runs, "mobilenet_v2", "shortcut")
    linear = [run for run in family if run.key("model.bottleneck") in (None, "linear")]
    if not linear:
        raise UserError(
            "None of the runs has linear bottlenecks, which shortcut compares: name some with "
            "config.model.bottleneck=linear."
        )
    groups = comparable_groups(linear, "shortcut", ("model.shortcut", "model.bottleneck"))
    kinds = [key_of(group, "model.shortcut") for group in groups]
    check_variants(groups, kinds, "model.shortcut", "shortcut")
    return groups


def draw(runs: Sequence[Run]) -> Figure:
    """Draws the curves of V2 runs by shortcut.

    Raises:
      UserError: as `variants`.
    """
    return draw_curves(
        variants(runs),
        lambda group: _NAMES[key_of(group, "model.shortcut")],
        title="Shortcuts (V2 figure 6b)",
    )
