"""Which flags of eval.py go together: those of a run, or those of published weights."""

from collections.abc import Collection, Mapping
from typing import Any

from mobilenet import config as base
from mobilenet.errors import UserError
from mobilenet.evaluation.of_run import evaluate_run, format_evaluation
from mobilenet.evaluation.of_weights import KNOBS, evaluate_pretrained, format_pretrained


def evaluate_by_flags(given: Mapping[str, Any]) -> str:
    """Evaluates, and returns the result in words.

    Args:
      given: the flags that were given, by their names: with `workdir` the arguments of
        `evaluate_run`, else those of `evaluate_pretrained`.

    Raises:
      UserError: neither or both are asked for, or the evaluation fails.
    """
    if "workdir" in given:
        _refuse(given, ("weights", "model", *KNOBS), "workdir")
        return format_evaluation(evaluate_run(**given))
    if "weights" not in given:
        raise UserError("Either --workdir=DIR names a run, or --weights=SOURCE published weights.")
    _refuse(given, ("checkpoint", "ema", "per_class"), "weights")
    if not {"model", "data"} <= given.keys():
        raise UserError("--weights needs --model and --data: which network, on which dataset.")
    return format_pretrained(evaluate_pretrained(base.get_config(), **given))


def _refuse(given: Mapping[str, Any], names: Collection[str], kind: str) -> None:
    for name in names:
        if name in given:
            raise UserError(f"--{name} has no meaning with --{kind}: leave it out.")
