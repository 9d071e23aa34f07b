"""One report a file: pure functions from cases to text. Nothing here opens a file."""
