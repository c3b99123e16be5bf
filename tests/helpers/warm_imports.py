"""What most scripts import: tests/helpers/warm_start.py has it imported once for all."""

import mobilenet.evaluation.of_run
import mobilenet.training.loop  # noqa: F401
