"""The error of everything that is wrong with files and the arguments that name them."""


class BadInputError(ValueError):
    """Input that cannot be read as asked. The message names the file, and the row where there is one."""
