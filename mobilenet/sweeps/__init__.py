"""Ablation sweeps: rows of overrides, the runs made of them, and their results."""

from mobilenet.sweeps.rows import Row, chain, product, seeds, zipped

__all__ = ["Row", "chain", "product", "seeds", "zipped"]
