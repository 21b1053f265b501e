"""Output files, and the records that tell which are finished."""
