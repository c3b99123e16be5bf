"""Times this package beside its peers; `scripts/benchmark.py` is the command.

Nothing here is imported by training, and a peer's modules are imported in its own process only.
"""
