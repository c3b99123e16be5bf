"""Compiled programs are kept on disk, so that a run starts again without compiling."""

import os
import pathlib

import jax


def enable_compilation_cache() -> None:
    """Uses ~/.cache/mobilenet/xla unless JAX_COMPILATION_CACHE_DIR names another folder.

    JAX ignores a folder that cannot be written, with a warning.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = pathlib.Path("~/.cache/mobilenet/xla").expanduser()
        jax.config.update("jax_compilation_cache_dir", str(folder))
