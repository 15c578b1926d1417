"""Files that are written whole or not at all, folders with one writer, and where a number came from."""
