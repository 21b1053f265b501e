"""Files in object stores and on the web, by the methods of `pathlib.Path` that jobs use."""
