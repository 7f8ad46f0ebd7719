"""Fleet files: CSV, JSON Lines and YAML, read row by row and written so that they read back."""

from sigmamind_async.fleet.files.formats import Format, format_of
from sigmamind_async.fleet.files.reading import read
from sigmamind_async.fleet.files.writing import columns_of, write

__all__ = ["Format", "columns_of", "format_of", "read", "write"]
