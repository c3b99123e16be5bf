"""Experiment configurations: one file an experiment, complete and locked."""
