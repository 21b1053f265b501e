"""The error of everything that is wrong with files and the arguments that name them."""


class BadInputError(ValueError):
    """Input that cannot be read as asked. The message names the file, and the row where there is one."""


def is_out_of_memory(error: Exception) -> bool:
    """Also torch's errors, a class of its own for GPUs and none for CPUs; torch is not imported to recognise them."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "you tried to allocate" in str(error))
    )
