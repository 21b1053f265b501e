"""The error of everything that is wrong with files and the arguments that name them."""


class BadInputError(ValueError):
    """Input that cannot be read as asked. The message names the file, and the row where there is one."""


def is_out_of_memory(error: Exception) -> bool:
    """Also where torch says so, in words of its allocators or of the driver, in errors of no common class."""
    said = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "out of memory" in said or "you tried to allocate" in said
