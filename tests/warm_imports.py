"""What most scripts import: tests/warm_start.py has it imported once for all."""

import mobilenet.reliability.soak
import mobilenet.training.evaluate_run
import mobilenet.training.loop  # noqa: F401
