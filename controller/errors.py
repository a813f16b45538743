"""The one exception that means "what came from outside was wrong"."""


class InputError(ValueError):
    """A file, an option or an array from outside cannot be used; the command line exits with 2.

    The message says which thing, its value and unit, what was allowed, and what to do.
    """
