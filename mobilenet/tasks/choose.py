"""The tasks by their names in `config.task`."""

from collections.abc import Callable

import ml_collections

from mobilenet.errors import ConfigError
from mobilenet.tasks.classification.classification import make_classification
from mobilenet.tasks.task import Task

# A task of your own is entered by the file that defines it, before a config names it.
TASKS: dict[str, Callable[[ml_collections.ConfigDict], Task]] = {
    "classification": make_classification
}


def choose_task(config: ml_collections.ConfigDict) -> Task:
    """Returns the task that `config.task` names.

    Raises:
      ConfigError: there is no such task, or a key that it reads has a value that cannot work.
    """
    if config.task not in TASKS:
        raise ConfigError(f"config.task is {config.task!r}: it must be {' or '.join(TASKS)}.")
    return TASKS[config.task](config)
