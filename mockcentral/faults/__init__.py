"""One fault a file; `registry` lists them."""
