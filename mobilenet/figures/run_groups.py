"""Runs as figures compare them: their networks complete, their differences checked and named."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from mobilenet.errors import UserError
from mobilenet.networks.architecture import ARCHITECTURES, defaults
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group, group_runs
from mobilenet.runtime.formatting import format_size

TITLES = {"mobilenet_v1": "MobileNetV1", "mobilenet_v2": "MobileNetV2"}
_DATASETS = {"cifar10": "CIFAR-10", "imagenet2012": "ImageNet"}


def comparable_groups(runs: Sequence[Run], figure: str, compared: Sequence[str]) -> list[Group]:
    """Groups runs that differ in nothing but the seed, the network's family and the compared keys.

    A knob that the config leaves at None has the network's own default in these groups, so that it
    equals a run which names that value. Those defaults may differ between V1 and V2; what is not
    in `config.model`, such as the length of the training, may not.

    Args:
      runs: at least one.
      figure: its name, for the errors.
      compared: dotted keys of the config, such as `model.width`.

    Raises:
      UserError: the runs differ in another key too, or one is of no network we know.
    """
    resolved = [_with_defaults(run) for run in runs]
    by_family: dict[str, list[Run]] = {}
    for run in resolved:
        by_family.setdefault(run.key("model.name"), []).append(run)
    groups = []
    for family in by_family.values():
        found = group_runs(family)
        _check_differences(found, figure, compared)
        groups += found
    # Between families only what is not the network can be wrong.
    without = [dataclasses.replace(run, config={**run.config, "model": {}}) for run in resolved]
    _check_differences(group_runs(without), figure, compared)
    return groups


def of_family(runs: Sequence[Run], family: str, figure: str) -> list[Run]:
    """Returns the runs of a family. Raises UserError if there is none."""
    found = [run for run in runs if run.key("model.name") == family]
    if not found:
        raise UserError(
            f"None of the runs is of {TITLES[family]}, which {figure} is about: name some with "
            f"config.model.name={family}."
        )
    return found


def key_of(group: Group, name: str) -> Any:
    """Returns a value of the config that all runs of a group share, such as `model.width`."""
    return group.runs[0].key(name)


def describe(groups: Sequence[Group]) -> str:
    """Returns what all groups have in common: dataset, network, resolution and number of seeds."""
    parts = [dataset_title(groups)]
    families = {key_of(group, "model.name") for group in groups}
    widths = {key_of(group, "model.width") for group in groups}
    if len(families) == 1:
        width = f" {widths.pop():g}" if len(widths) == 1 else ""
        parts.append(f"{TITLES[families.pop()]}{width}")
    resolutions = {format_size(key_of(group, "model.resolution")) for group in groups}
    if len(resolutions) == 1:
        parts.append(f"{resolutions.pop()} pixels")
    return ", ".join([*parts, describe_seeds(groups)])


def describe_seeds(groups: Sequence[Group]) -> str:
    """Returns how many seeds the groups have, such as `3 seeds` or `1 to 3 seeds`."""
    numbers = {len(group.runs) for group in groups}
    least, most = min(numbers), max(numbers)
    if least == most:
        return "one seed" if most == 1 else f"{most} seeds"
    return f"{least} to {most} seeds"


def dataset_title(groups: Sequence[Group]) -> str:
    """Returns the dataset's name and the split that top-1 is of.

    Raises:
      UserError: the runs are of several.
    """
    names = {(g.runs[0].data_name, key_of(g, "data.eval_split")) for g in groups}
    if len(names) > 1:
        raise UserError(
            f"The runs are of several datasets ({', '.join(sorted(' '.join(n) for n in names))}), "
            "whose accuracies have no common axis: name runs of one."
        )
    name, split = names.pop()
    return f"{_DATASETS.get(name, name)} ({split})"


def _with_defaults(run: Run) -> Run:
    family = run.key("model.name")
    if family not in ARCHITECTURES:
        raise UserError(
            f"The run {run.name} is of the network {family!r}, which no figure shows: name runs of "
            f"{' or '.join(ARCHITECTURES)}."
        )
    model = {
        name: defaults(family).get(name) if value is None else value
        for name, value in run.config["model"].items()
    }
    return dataclasses.replace(run, config={**run.config, "model": model})


def _check_differences(groups: Sequence[Group], figure: str, compared: Sequence[str]) -> None:
    for key in groups[0].overrides:
        if key not in compared:
            values = dict.fromkeys(str(group.overrides[key]) for group in groups)
            raise UserError(
                f"The runs differ in {key} ({', '.join(values)}) and {figure} compares "
                f"{', '.join(compared)} alone: name runs that agree in all else."
            )
