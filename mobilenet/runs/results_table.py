"""Results of sweeps as a table: one line for each configuration, mean and spread over its seeds."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from mobilenet.runs.groups import Group, common_score
from mobilenet.runs.json_files import finite_or_none
from mobilenet.runtime.formatting import describe_name, format_duration, format_table


def format_results(groups: Sequence[Group], style: str) -> str:
    """Returns the table.

    Args:
      groups: of runs, as `group_runs` returns them.
      style: table | csv | json | latex. csv and json hold plain numbers: scores as shares, times
        in seconds; the others are for reading.

    Raises:
      UserError: the runs have different scores.
    """
    return _STYLES[style](groups, common_score(groups))


def _records(groups: Sequence[Group], score: str) -> list[dict[str, Any]]:
    return [
        {
            **group.overrides,
            "seeds": len(group.runs),
            f"{score}_mean": group.mean(score),
            f"{score}_stddev": group.stddev(score),
            "params": group.runs[0].result["params"],
            "madds": group.runs[0].result["madds"],
            "seconds_mean": group.mean("seconds"),
        }
        for group in groups
    ]


def _as_json(groups: Sequence[Group], score: str) -> str:
    return json.dumps([finite_or_none(record) for record in _records(groups, score)], indent=2)


def _as_csv(groups: Sequence[Group], score: str) -> str:
    text = io.StringIO()
    records = _records(groups, score)
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().rstrip("\n")


def _cells(
    groups: Sequence[Group], score: str, plus_minus: str
) -> tuple[list[str], list[list[str]]]:
    keys = list(groups[0].overrides)
    header = [*keys, "seeds", f"{describe_name(score)} %", "params M", "MAdds M", "time"]
    rows = []
    for group in groups:
        rows.append(
            [
                *(_plain(group.overrides[key]) for key in keys),
                str(len(group.runs)),
                group.spread(score, plus_minus),
                f"{group.runs[0].result['params'] / 1e6:.3f}",
                f"{group.runs[0].result['madds'] / 1e6:.2f}",
                format_duration(group.mean("seconds")),
            ]
        )
    return header, rows


def _as_table(groups: Sequence[Group], score: str) -> str:
    header, rows = _cells(groups, score, "±")
    return format_table([header, *rows], "l" * len(groups[0].overrides) + "r")


def _as_latex(groups: Sequence[Group], score: str) -> str:
    header, rows = _cells(groups, score, r"$\pm$")
    numbers = len(header) - len(groups[0].overrides)
    columns = "l" * (len(header) - numbers) + "r" * numbers
    lines = [" & ".join(map(_escaped, row)) + r" \\" for row in (header, *rows)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            lines[0],
            r"\hline",
            *lines[1:],
            r"\hline",
            r"\end{tabular}",
        ]
    )


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(cell: str) -> str:
    return cell.replace("_", r"\_").replace("%", r"\%")


_STYLES: dict[str, Callable[[Sequence[Group], str], str]] = {
    "table": _as_table,
    "csv": _as_csv,
    "json": _as_json,
    "latex": _as_latex,
}
