"""What every program does: flags, quiet libraries, cached compilation, errors as sentences."""

import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from mobilenet.errors import UserError
from mobilenet.runtime.compilation_cache import enable_compilation_cache


def run(main: Callable[..., int | None], *, takes_words: bool = False) -> None:
    """Parses the command line, calls `main` and exits with its status.

    A UserError ends the process with its sentence on stderr and status 1. Libraries only warn,
    unless the flag --verbosity says otherwise.

    Args:
      main: called without arguments.
      takes_words: with the list of the words that are no flags, such as paths, instead.
    """

    def program(arguments: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        enable_compilation_cache()
        _, *words = arguments
        try:
            if takes_words:
                sys.exit(main(words))
            if words:
                raise UserError(f"{words[0]!r} is no flag: flags start with --.")
            sys.exit(main())
        except UserError as error:
            # In one write: a thread that fails meanwhile prints beside the sentence, not into it.
            sys.stderr.write(f"error: {error}\n")
            sys.exit(1)
        except BrokenPipeError:
            # The reader of our output, such as `head`, has enough; Python would complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)

    app.run(program, flags_parser=_parse_flags)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """As absl does; what ml_collections raises for a wrong --config.key becomes a sentence."""
    try:
        words = app.parse_flags_with_usage(list(argv))
        for name in flags.FLAGS:
            # A config that could not be loaded says so when it is first asked for anything.
            getattr(flags.FLAGS[name].value, "lock", None)
        return words
    except (AttributeError, KeyError, OSError, TypeError, UserError, ValueError) as error:
        # What is wrong with a key of a section comes wrapped.
        cause = error.args[0] if error.args and isinstance(error.args[0], KeyError) else error
        if isinstance(cause, KeyError):
            sys.exit(f"error: the config has no such key: {' '.join(str(cause.args[0]).split())}")
        sys.exit(f"error: {' '.join(str(error).split())}")
