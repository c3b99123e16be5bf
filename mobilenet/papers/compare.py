"""Our values beside printed ones: whether they agree to the last printed digit, and why not."""

import dataclasses
import enum
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from mobilenet.papers.printed import Value

# Ours counts every trainable parameter and the multiply-adds of all convolutions and of the
# classifier. Where a paper counted in another way, its value names that way.
COUNTINGS = {
    "kernels": "when only kernels are counted",
    "no_norm": "without the scales and offsets of BatchNorm",
    "no_classifier": "without the classifier",
    "size_before": "with the channels after a block at the size before its stride",
}


class Verdict(enum.StrEnum):
    AGREES = "agrees"  # ours rounded to the printed digits is the printed value
    TRUNCATED = "truncated"  # ours cut off after the printed digits is
    EXPLAINED = "explained"  # ours is not, but is when counted in the way that the note names
    DIFFERS = "differs"  # ours is not
    NOT_COMPARED = "not compared"  # one of the two is missing


@dataclasses.dataclass(frozen=True)
class Cell:
    """One value of a table; empty strings where there is none.

    `ours` has a digit more than `published`; `exact` is all of it, and None for words.
    `explanation` is ours in the way of counting that agrees, and `counting` says which that is.
    `note` is the reason of a difference.
    """

    ours: str
    exact: float | None
    published: str
    verdict: Verdict
    note: str = ""
    explanation: str = ""
    counting: str = ""


def compare(ours: Decimal, printed: str, *, zeros_count: bool = True) -> Verdict:
    """Says whether ours agrees with a printed number to its last digit.

    Args:
      ours: in the unit of the printed number.
      printed: digits, perhaps with a point.
      zeros_count: False takes zeros at the end of a whole number for rounding, beyond its first
        two digits: 1600 then stands for 1550 to 1650.
    """
    target = Decimal(printed)
    step = Decimal(1).scaleb(int(target.as_tuple().exponent))
    if not zeros_count:
        zeros = len(printed) - len(printed.rstrip("0"))
        step = step.scaleb(max(0, min(zeros, len(printed) - 2)))
    for rounding, verdict in ((ROUND_HALF_UP, Verdict.AGREES), (ROUND_DOWN, Verdict.TRUNCATED)):
        if (ours / step).to_integral_value(rounding) * step == target:
            return verdict
    return Verdict.DIFFERS


def make_cell(
    value: Value, amount: Callable[[str], Decimal | str], *, zeros_count: bool = True
) -> Cell:
    """Sets ours beside a value.

    Args:
      value: as printed; "-" and letters that stand for any number are not compared.
      amount: ours for a key of `COUNTINGS`, and for the empty string in our own way.
      zeros_count: as in `compare`.
    """

    def judge(ours: Decimal | str) -> Verdict:
        if isinstance(ours, Decimal):
            return compare(ours, value.printed, zeros_count=zeros_count)
        return Verdict.AGREES if ours == value.printed else Verdict.DIFFERS

    ours = amount("")
    if value.printed in ("-", "k"):
        return Cell(str(ours), None, value.printed, Verdict.NOT_COMPARED)
    verdict, shown = judge(ours), _show(ours, judge, value.printed)
    exact = float(ours) if isinstance(ours, Decimal) else None
    if verdict is not Verdict.DIFFERS:
        return Cell(shown, exact, value.printed, verdict)
    note = value.reason or "Unexplained."
    if value.counting:
        other = amount(value.counting)
        again = judge(other)
        if again is not Verdict.DIFFERS:
            explanation = _show(other, judge, value.printed)
            explanation += " (truncated)" if again is Verdict.TRUNCATED else ""
            words = COUNTINGS[value.counting]
            return Cell(shown, exact, value.printed, Verdict.EXPLAINED, note, explanation, words)
    return Cell(shown, exact, value.printed, verdict, note)


def _show(ours: Decimal | str, judge: Callable[[Decimal | str], Verdict], printed: str) -> str:
    """Ours with a digit more than the paper prints, or as many as it takes to see the verdict."""
    if isinstance(ours, str):
        return ours
    digits = len(printed.partition(".")[2]) + 1
    while judge(shown := round(ours, digits)) is not judge(ours):
        digits += 1
    return str(shown)


def printed_alone(value: Value | None) -> Cell:
    """Returns a value that ours is not set beside; None: nothing is printed either."""
    return Cell("", None, value.printed if value else "", Verdict.NOT_COMPARED)
