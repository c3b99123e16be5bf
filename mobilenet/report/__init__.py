"""One HTML page to explore the runs of a sweep; `scripts/report.py` is the command."""
