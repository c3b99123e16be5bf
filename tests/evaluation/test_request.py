"""Which flags of eval.py go together; that they arrive is tested with what they ask for."""

import pytest

from mobilenet.errors import UserError
from mobilenet.evaluation.request import answer_request


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Either --workdir=DIR names a run, or --weights=SOURCE"),
        ({"split": "test"}, "Either --workdir=DIR names a run, or --weights=SOURCE"),
        ({"workdir": "x", "weights": "keras"}, "--weights has no meaning with --workdir"),
        ({"workdir": "x", "eval_crop": "window"}, "--eval_crop has no meaning with --workdir"),
        ({"weights": "keras", "checkpoint": "best"}, "--checkpoint has no meaning with --weights"),
        ({"weights": "keras", "model": "mobilenet_v1"}, "--weights needs --model and --data"),
    ],
)
def test_flags_that_do_not_go_together_are_named(given, message):
    with pytest.raises(UserError, match=message):
        answer_request(given)
