"""Shares of cost by the type of layer, against V1 table 2 and sums by hand."""

import pytest

from mobilenet.figures.cost_breakdown import PUBLISHED_V1, draw, layer_shares
from mobilenet.networks.architecture import mobilenet_v1, mobilenet_v2


def test_v1_is_its_table_2_but_for_a_misprint():
    shares = layer_shares(mobilenet_v1())
    for kind, (madds, params) in PUBLISHED_V1.items():
        assert round(shares[kind][1], 2) == params
        assert round(shares[kind][0], 2) == (1.91 if kind == "conv 3x3" else madds)
    # As printed the shares do not add up.
    assert sum(madds for madds, _ in PUBLISHED_V1.values()) == pytest.approx(99.29)


def test_v2_by_hand():
    shares = layer_shares(mobilenet_v2())
    # Stem: 112 x 112 x 3 x 3 x 3 x 32 of 300.8 million; classifier: 1280 x 1000.
    assert shares["conv 3x3"][0] == pytest.approx(100 * 10_838_016 / 300_774_272, rel=1e-6)
    assert shares["dense"][0] == pytest.approx(100 * 1_280_000 / 300_774_272, rel=1e-6)
    # 3,504,872 parameters, of which 34,112 belong to normalisation and 1000 are biases.
    assert shares["dense"][1] == pytest.approx(100 * 1_280_000 / 3_469_760, rel=1e-6)
    for column in (0, 1):
        assert sum(pair[column] for pair in shares.values()) == pytest.approx(100)


def test_the_picture_names_what_is_published():
    madds, params = draw().axes
    assert madds.get_xlabel() == "Share of multiply-adds (%)"
    assert params.get_xlabel() == "Share of parameters (%)"
    assert [text.get_text() for text in madds.get_yticklabels()] == list(PUBLISHED_V1)
    legend = [text.get_text() for text in params.get_legend().get_texts()]
    assert legend == ["MobileNetV1, published", "MobileNetV1", "MobileNetV2"]
    assert "94.86" in [text.get_text() for text in madds.texts]
