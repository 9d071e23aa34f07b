"""One check a file: a pure function over the evidence of a journal; `registry` lists them. Nothing here does I/O."""
