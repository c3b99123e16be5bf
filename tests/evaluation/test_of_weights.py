"""What eval.py --weights does: whose classes, whose preprocessing."""

import pytest

from mobilenet.errors import UserError
from mobilenet.evaluation import of_weights as module
from mobilenet.evaluation.by_flags import evaluate_by_flags
from mobilenet.factory import create_model
from mobilenet.networks.preprocessing import Preprocessing
from mobilenet.weights.pretrained import Pretrained
from tests.helpers.toy_dataset import write_gray

pytestmark = pytest.mark.usefixtures("one_device")


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Evaluates a network that always answers 606 on images of 606 and 0; gives the config too."""
    write_gray(tmp_path, "irons", ["n03584829", "n01440764"], [0, 0, 0, 1])
    preprocessing = Preprocessing((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 32, "center", 0.5, "area")
    model = create_model("mobilenet_v1_025", resolution=32, depth="shallow")
    model.preprocessing = preprocessing
    model.logits.bias.set_value(model.logits.bias[...].at[606].set(1e6))
    pretrained = Pretrained(model, "somewhere", True)
    monkeypatch.setattr(module, "load_pretrained", lambda *_, **__: pretrained)
    seen = []
    build = module.build_network

    def watched(config, num_classes):
        seen.append(config)
        return build(config, num_classes)

    monkeypatch.setattr(module, "build_network", watched)

    def evaluate(**flags):
        own = {"weights": "x", "model": "mobilenet_v1_025", "data": "irons", "batch_size": 8}
        return evaluate_by_flags({**own, "data_dir": str(tmp_path), **flags}), seen[-1]

    return evaluate


def test_a_subset_is_scored_among_all_classes_as_the_source_sees_it(evaluated):
    text, config = evaluated()
    assert config.augment.mean == (1.0, 2.0, 3.0)
    assert (config.data.eval_crop, config.data.eval_fraction) == ("center", 0.5)
    assert text.startswith(
        "somewhere; the source's own preprocessing: short side 64, centre 32, area, "
        "(pixels - [1, 2, 3]) / [4, 5, 6]\ntop-1 75.00%"
    )
    assert "4 images of irons test" in text


def test_the_flags_of_eval_reach_it(evaluated):
    text, config = evaluated(split="test[:3]", eval_crop="window", interpolation="area")
    assert config.data.eval_crop == "window"
    assert "preprocessing but for eval_crop: centre 32 of the image as it is" in text
    assert "top-1 100.00%" in text
    assert "3 images of irons test[:3]" in text


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
        evaluate_by_flags(given)
