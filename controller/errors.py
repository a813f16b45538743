"""What came from outside was wrong, or what was asked for may not fly."""


class InputError(ValueError):
    """A file, an option or an array from outside cannot be used; the command line exits with 2.

    The message says which thing, its value and unit, what was allowed, and what to do.
    """


class Refused(Exception):
    """An answer, not an error: what was asked for is not allowed to fly; exit status 3.

    The message says what refuses it, with both sides, and what to do.
    """
