"""What eval.py --weights does: whose classes, whose preprocessing."""

import jax
import pytest
from jax.sharding import AxisType, Mesh

from mobilenet import config as base
from mobilenet.evaluation import of_weights as module
from mobilenet.evaluation.of_weights import Seeing, evaluate_pretrained
from mobilenet.evaluation.request import answer_request
from mobilenet.factory import create_model
from mobilenet.networks.preprocessing import Preprocessing
from mobilenet.weights.pretrained import Pretrained
from tests.helpers.toy_records import write_images


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Evaluates a network that always answers 606 on images of 606 and 0; gives the config too."""
    write_images(tmp_path, "irons", ["n03584829", "n01440764"], [0, 0, 0, 1])
    model = create_model("mobilenet_v1_025", resolution=32, depth="shallow")
    model.logits.bias.set_value(model.logits.bias[...].at[606].set(1e6))
    preprocessing = Preprocessing((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 32, "center", 0.5, "area")
    knobs = {"width": 0.25, "resolution": 32, "depth": "shallow"}
    pretrained = Pretrained(model, "somewhere", knobs, preprocessing, True)
    monkeypatch.setattr(module, "load_pretrained", lambda *_, **__: pretrained)
    mesh = Mesh(jax.devices()[:1], ("data",), axis_types=(AxisType.Auto,))
    monkeypatch.setattr("mobilenet.runtime.mesh.make_mesh", lambda: mesh)
    seen = []
    build = module.build_network

    def watched(config, num_classes):
        seen.append(config)
        return build(config, num_classes)

    monkeypatch.setattr(module, "build_network", watched)

    def evaluate(**keywords):
        result = evaluate_pretrained(
            base.get_config(), "x", "mobilenet_v1_025", data="irons", data_dir=str(tmp_path),
            batch_size=8, **keywords,
        )  # fmt: skip
        return result, seen[-1]

    return evaluate


def test_a_subset_is_scored_among_all_classes_as_the_source_sees_it(evaluated):
    result, config = evaluated()
    assert (result["top1"], result["num_images"], result["split"]) == (0.75, 4, "test")
    assert config.augment.mean == (1.0, 2.0, 3.0)
    assert (config.data.eval_crop, config.data.eval_fraction) == ("center", 0.5)
    assert result["preprocessing"] == (
        "the source's own preprocessing: short side 64, centre 32, area, "
        "(pixels - [1, 2, 3]) / [4, 5, 6]"
    )
    result, config = evaluated(seeing=Seeing(eval_crop="window", interpolation="area"))
    assert config.data.eval_crop == "window"
    assert result["preprocessing"].startswith(
        "the source's own preprocessing but for eval_crop: centre 32 of the image as it is"
    )


def test_the_flags_of_eval_reach_it(evaluated, tmp_path):
    del evaluated  # only its patches are wanted
    text = answer_request(
        {
            "weights": "x", "model": "mobilenet_v1_025", "data": "irons", "data_dir": str(tmp_path),
            "batch_size": 8, "split": "test[:3]", "eval_crop": "window",
        }
    )  # fmt: skip
    assert "but for eval_crop: centre 32 of the image as it is" in text
    assert "top-1 100.00%" in text
    assert "3 images of irons test[:3]" in text
