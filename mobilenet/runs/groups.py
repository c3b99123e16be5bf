"""Runs that differ in nothing but the seed, taken together."""

import dataclasses
import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

from mobilenet.errors import UserError
from mobilenet.runs.finished import Run
from mobilenet.runs.run_directory import flatten, is_free


@dataclasses.dataclass(frozen=True)
class Group:
    """One configuration, run with one or more seeds."""

    overrides: dict[str, Any]  # dotted keys in which the groups differ, with this group's values
    runs: tuple[Run, ...]  # in order of their seeds

    @property
    def config(self) -> dict[str, Any]:
        return self.runs[0].config

    @property
    def score_name(self) -> str:
        return self.runs[0].score_name

    def values(self, metric: str) -> list[float]:
        """Returns a number of the result, such as the score, for every seed; NaN for None."""
        values = (run.result[metric] for run in self.runs)
        return [math.nan if value is None else float(value) for value in values]

    def mean(self, metric: str) -> float:
        return statistics.fmean(self.values(metric))

    def stddev(self, metric: str) -> float | None:
        """Returns the standard deviation of a sample (n - 1); None for a single seed.

        It is NaN where a value is not finite.
        """
        values = self.values(metric)
        if not all(map(math.isfinite, values)):
            return math.nan if len(values) > 1 else None
        return statistics.stdev(values) if len(values) > 1 else None

    def spread(self, metric: str, plus_minus: str = "±") -> str:
        """Returns a mean in percent with its standard deviation over seeds: `75.66 ± 0.42`."""
        mean, stddev = self.mean(metric), self.stddev(metric)
        if not math.isfinite(mean):
            return "not finite"
        return f"{100 * mean:.2f}" + ("" if stddev is None else f" {plus_minus} {100 * stddev:.2f}")


def common_score(groups: Sequence[Group]) -> str:
    """Returns the name of the score of all groups.

    Raises:
      UserError: they have different ones.
    """
    names = sorted({group.score_name for group in groups})
    if len(names) > 1:
        raise UserError(
            f"These runs have different scores ({', '.join(names)}): name runs of one of them."
        )
    return names[0]


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Groups runs by their configs without the seed and without what does not change a weight.

    A run that is given twice, such as by its directory and by its line, counts once.
    Groups come in the order of their first runs.
    """
    by_config: dict[str, dict[int, Run]] = {}
    flats = {}
    for run in runs:
        flat = _compared(run.config)
        text = json.dumps(flat, sort_keys=True)
        flats[text] = flat
        by_config.setdefault(text, {}).setdefault(run.config["seed"], run)
    differing = _differing(list(flats.values()))
    return [
        Group(
            overrides={key: flats[text].get(key) for key in differing},
            runs=tuple(seeds[seed] for seed in sorted(seeds)),
        )
        for text, seeds in by_config.items()
    ]


def _compared(config: dict[str, Any]) -> dict[str, Any]:
    # A key that came later, at None, leaves a run what it was before.
    flat = flatten(config).items()
    return {k: v for k, v in flat if v is not None and k != "seed" and not is_free(k)}


def _differing(flats: Sequence[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for flat in flats for key in flat)
    return [key for key in keys if any(flat.get(key) != flats[0].get(key) for flat in flats)]
