"""Which runs may be drawn together, and what is said about them."""

import pytest
from figure_runs import make_run

from mobilenet.errors import UserError
from mobilenet.figures.run_groups import comparable_groups, dataset_title, describe, of_family


def test_a_default_equals_its_name():
    runs = [
        make_run(0.5, seed=0),
        make_run(0.6, seed=1, model__bottleneck="linear", model__expansion=6.0),
        make_run(0.4, seed=0, model__bottleneck="relu6"),
    ]
    linear, relu6 = comparable_groups(runs, "bottleneck", ("model.bottleneck",))
    assert linear.values("top1") == [0.5, 0.6]
    assert relu6.values("top1") == [0.4]
    assert linear.overrides == {"model.bottleneck": "linear"}


def test_runs_that_differ_in_something_else_are_no_comparison():
    runs = [make_run(0.5), make_run(0.6, model__width=0.25, label_smoothing=0.1)]
    message = r"differ in label_smoothing \(0\.0, 0\.1\) and tradeoff compares model\.width alone"
    with pytest.raises(UserError, match=message):
        comparable_groups(runs, "tradeoff", ("model.width",))


def test_v1_and_v2_may_have_other_defaults_but_not_another_training():
    compared = ("model.width",)
    v1 = {"model__name": "mobilenet_v1"}
    assert len(comparable_groups([make_run(0.5), make_run(0.4, **v1)], "tradeoff", compared)) == 2
    with pytest.raises(UserError, match=r"differ in total_epochs \(12\.0, 6\.0\)"):
        comparable_groups(
            [make_run(0.5), make_run(0.4, total_epochs=6.0, **v1)], "tradeoff", compared
        )


def test_where_a_run_reads_its_data_is_no_difference():
    runs = [make_run(0.5, seed=0), make_run(0.5, seed=1, data__data_dir="/elsewhere")]
    assert len(comparable_groups(runs, "tradeoff", ())) == 1


def test_what_the_groups_have_in_common_is_described():
    runs = [make_run(0.5, seed=seed) for seed in range(3)]
    runs += [make_run(0.5, seed=seed, model__width=0.25) for seed in range(2)]
    groups = comparable_groups(runs, "tradeoff", ("model.width",))
    assert describe(groups) == "CIFAR-10 (test), MobileNetV2, 32 pixels, 2 to 3 seeds"
    assert describe(groups[:1]) == "CIFAR-10 (test), MobileNetV2 0.5, 32 pixels, 3 seeds"


def test_a_dataset_without_a_title_keeps_its_name():
    groups = comparable_groups([make_run(0.5, data__name="photos")], "tradeoff", ())
    assert describe(groups) == "photos (test), MobileNetV2 0.5, 32 pixels, one seed"


def test_runs_of_two_datasets_have_no_common_axis():
    groups = [
        comparable_groups([make_run(0.5, data__name=name)], "tradeoff", ())[0]
        for name in ("cifar10", "photos")
    ]
    with pytest.raises(UserError, match=r"several datasets \(cifar10 test, photos test\)"):
        dataset_title(groups)


def test_runs_of_the_wrong_network_are_one_sentence():
    with pytest.raises(UserError, match="None of the runs is of MobileNetV2, which shortcut"):
        of_family([make_run(0.5, model__name="mobilenet_v1")], "mobilenet_v2", "shortcut")
    with pytest.raises(UserError, match="is of the network 'resnet', which no figure shows"):
        comparable_groups([make_run(0.5, model__name="resnet")], "tradeoff", ())
