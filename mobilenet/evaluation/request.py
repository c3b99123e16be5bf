"""What eval.py is asked for: the evaluation of a run, or of published weights."""

from collections.abc import Mapping
from typing import Any

from mobilenet import config as base
from mobilenet.errors import UserError
from mobilenet.evaluation.of_run import evaluate_run, format_evaluation
from mobilenet.evaluation.of_weights import Seeing, evaluate_pretrained, format_pretrained

# Flags that belong to one of the two alone.
_OF_RUNS = ("workdir", "checkpoint", "ema", "per_class")
_OF_WEIGHTS = ("weights", "model", *Seeing._fields)


def answer_request(given: Mapping[str, Any]) -> str:
    """Evaluates, and returns the result in words.

    Args:
      given: the flags that were given, by their names. Those of a run, but for `workdir`, are the
        arguments of `evaluate_run`, those of weights the arguments of `evaluate_pretrained` and the
        fields of `Seeing`.

    Raises:
      UserError: neither or both are asked for, or the evaluation fails.
    """
    if "workdir" in given:
        _refuse(given, _OF_WEIGHTS, "workdir")
        return format_evaluation(evaluate_run(**given))
    if "weights" not in given:
        raise UserError("Either --workdir=DIR names a run, or --weights=SOURCE published weights.")
    _refuse(given, _OF_RUNS, "weights")
    if not {"model", "data"} <= given.keys():
        raise UserError("--weights needs --model and --data: which network, on which dataset.")
    seeing = Seeing(**{name: given[name] for name in Seeing._fields if name in given})
    others = {name: value for name, value in given.items() if name not in Seeing._fields}
    return format_pretrained(evaluate_pretrained(base.get_config(), **others, seeing=seeing))


def _refuse(given: Mapping[str, Any], names: tuple[str, ...], kind: str) -> None:
    for name in names:
        if name in given:
            raise UserError(f"--{name} has no meaning with --{kind}: leave it out.")
