"""What scripts/reproduce_tradeoff.py does: every file of a source once, and lines that draw."""

import dataclasses
import json

import pytest

from mobilenet import config as base
from mobilenet.data.datasets import Split
from mobilenet.errors import UserError
from mobilenet.evaluation import reproduce as module
from mobilenet.evaluation.of_weights import Images
from mobilenet.evaluation.reproduce import describe, reproduce_tradeoff
from mobilenet.figures.tradeoff import draw, measured_points
from mobilenet.runs.finished import Run, read_runs
from mobilenet.weights.convert import convert
from mobilenet.weights.published_accuracy import published_accuracy
from mobilenet.weights.registry import SOURCES
from tests.helpers.random_weights import draw_network
from tests.helpers.toy_dataset import write_gray

# Labels of Keras, the resolutions that they get here, and the class that their networks answer:
# 606 is the iron, and three of the four images are of that.
_FILES = {"mobilenet_2_5_160_tf": (32, 606), "mobilenet_2_5_128_tf": (64, 0)}


@pytest.fixture
def keras(monkeypatch):
    """Keras as a source, with two of its files at lower resolutions."""
    releases = [
        dataclasses.replace(
            entry,
            preprocessing=dataclasses.replace(
                entry.preprocessing, resolution=_FILES[entry.label][0]
            ),
        )
        for entry in SOURCES["keras"].releases
        if entry.label in _FILES
    ]
    source = dataclasses.replace(SOURCES["keras"], releases=tuple(releases))
    monkeypatch.setitem(SOURCES, "keras", source)
    return source


def _write(entry, folder):
    """A file of the publisher's name, whose network always answers one class."""
    side, answer = _FILES[entry.label]
    drawn = draw_network.__wrapped__(entry.family, 1000, width=entry.width, resolution=side)
    bias = drawn.model.logits.bias
    bias.set_value(bias[...].at[answer].set(1e6))
    convert(drawn, "keras", folder / entry.file_name)


def test_a_source_is_evaluated_once_and_drawn(keras, tmp_path, monkeypatch):
    write_gray(tmp_path, "irons", ["n03584829", "n01440764"], [0, 0, 0, 1])
    weights, out = tmp_path / "weights", tmp_path / "results" / "keras.jsonl"
    weights.mkdir()
    first, second = keras.releases
    _write(first, weights)
    table, evaluated = [], []
    evaluate_on = module.evaluate_on

    def watched(images, pretrained):
        evaluated.append(pretrained.model.architecture.resolution)
        return evaluate_on(images, pretrained)

    monkeypatch.setattr(module, "evaluate_on", watched)

    def reproduce():
        table.clear()
        evaluated.clear()
        missing = reproduce_tradeoff(
            base.get_config(), "keras", "irons", out, batch_size=8, data_dir=str(tmp_path),
            weights_dir=str(weights), report=table.append,
        )  # fmt: skip
        return missing, [line.split()[2:5] for line in table[1:3]]

    (sentence,), rows = reproduce()
    assert sentence.startswith(f"There is no file {weights / second.file_name}")
    assert evaluated == [32]
    assert rows == [["32", "75.00", "-"], ["64", "-", "-"]]
    assert "ours of 4 images of irons (test): the differences say nothing." in table[3]

    # As a kill leaves the file.
    whole = out.read_bytes()
    out.write_bytes(whole + b'{"name": "keras/mob')
    _write(second, weights)
    both = [["32", "75.00", "-"], ["64", "25.00", "-"]]
    assert (reproduce(), evaluated) == (([], both), [64])
    assert out.read_bytes().startswith(whole)
    assert (reproduce(), evaluated) == (([], both), [])

    runs = read_runs([out])
    assert [run.name for run in runs] == [f"keras/{entry.label}" for entry in (first, second)]
    assert "optimizer" not in runs[0].config  # ours did not train it
    assert "central 0.875 of both sides, squeezed to 32" in runs[0].key("weights.preprocessing")
    points = measured_points(runs)
    assert [(p.family, p.width, p.resolution, p.top1) for p in points] == [
        ("mobilenet_v1", 0.25, 32, 75.0), ("mobilenet_v1", 0.25, 64, 25.0),
    ]  # fmt: skip
    # V1 table 6 gives 0.5 million parameters.
    assert points[0].params == pytest.approx(0.47, abs=0.01)
    figure = draw(runs)
    assert figure.axes[0].get_title() == "Weights of keras, irons (test)"
    assert "Weights of keras: irons (test), evaluated with this code." in figure.get_supxlabel()


def _described(source):
    """Lines of all weights of a source, as if they had been evaluated."""
    split = Split("imagenet2012", "validation", 50000, 1000, (), source=[None])
    result = {"top1": 0.5, "madds": 1e6, "params": 1e6}
    images = Images(base.get_config(), split, None)
    return [
        Run(entry.label, describe(images, source, entry), {}, result, [])
        for entry in source.releases
    ]


@pytest.mark.parametrize("name", SOURCES)
def test_all_weights_of_a_source_have_a_common_figure(name):
    runs = _described(SOURCES[name])
    points = measured_points(runs)
    assert len(points) == len(SOURCES[name].releases)
    assert {(p.family, p.width, p.resolution) for p in points} == {
        (entry.family, entry.width, entry.preprocessing.resolution)
        for entry in SOURCES[name].releases
    }


def test_two_sources_have_none():
    with pytest.raises(UserError, match=r"The runs differ in weights.source \(slim, keras\)"):
        measured_points(_described(SOURCES["slim"]) + _described(SOURCES["keras"]))


def test_mistakes_end_it_before_anything_is_evaluated(tmp_path):
    def reproduce(**changes):
        arguments = {"source": "keras", "data": "irons", "out": tmp_path / "x.jsonl"} | changes
        reproduce_tradeoff(base.get_config(), **arguments, data_dir=str(tmp_path))

    with pytest.raises(UserError, match="weights 'onnx' do not exist"):
        reproduce(source="onnx")
    with pytest.raises(UserError, match=r"must end in \.jsonl, as files"):
        reproduce(out=tmp_path / "x.csv")
    with pytest.raises(UserError, match="nothing_here"):
        reproduce(data="nothing_here")
    write_gray(tmp_path, "irons", ["n03584829", "n01440764"], [0])
    (tmp_path / "x.jsonl").write_text(json.dumps({"no": "run"}) + "\n")
    with pytest.raises(UserError, match=r"Line 1 of .*x.jsonl is no run"):
        reproduce()


def test_the_published_accuracies_are_the_publishers_own():
    found = {
        (name, entry.label): published_accuracy(name, entry)
        for name, source in SOURCES.items()
        for entry in source.releases
    }
    # pytorch/vision torchvision/models/mobilenetv2.py
    assert found["torchvision", "v1"] == 71.878
    assert found["torchvision", "v2"] == 72.154
    # slim nets/mobilenet_v1.md and nets/mobilenet/README.md
    assert found["slim", "mobilenet_v1_0.5_160"] == 59.1
    assert found["slim", "mobilenet_v2_1.0_224"] == 71.8
    # keras-applications README.md; it has those of 224 pixels alone.
    assert found["keras", "mobilenet_2_5_224_tf"] == 51.582
    assert found["keras", "mobilenet_2_5_128_tf"] is None
    # pytorch-image-models results/results-imagenet.csv
    assert found["timm", "mobilenetv1_100.ra4_e3600_r224_in1k"] == 75.388
    assert found["timm", "mobilenetv1_100h.ra4_e3600_r224_in1k"] == 75.664
    assert found["timm", "mobilenetv2_110d.ra_in1k"] == 75.056
    assert all(top1 for (name, _), top1 in found.items() if name in ("slim", "timm"))
    assert not any(top1 for (name, _), top1 in found.items() if name == "transformers")
