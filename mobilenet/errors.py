"""The base of every error that the user can mend."""


class UserError(Exception):
    """The user's input or machine is at fault: a wrong config value, an unwritable directory.

    The message is one plain sentence that says what is wrong, where, and what to do. Entry points
    print `error: <message>` without a traceback and exit with status 1. A subclass may also derive
    from the built-in error it refines, such as ValueError.
    """
