"""Compiled programs are kept on disk, so that a run starts again without compiling."""

import os
import pathlib

import jax

# JAX's default is a second: a start compiles programs that take less, and together take seconds.
_SECONDS_WORTH_KEEPING = 0.1


def enable_compilation_cache() -> None:
    """Uses ~/.cache/mobilenet/xla unless JAX_COMPILATION_CACHE_DIR names another folder.

    JAX ignores a folder that cannot be written, with a warning.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = pathlib.Path("~/.cache/mobilenet/xla").expanduser()
        jax.config.update("jax_compilation_cache_dir", str(folder))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS_WORTH_KEEPING)
