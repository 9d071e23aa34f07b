"""Sockets, clocks and threads: carries out the effects of `_core` and reports what happened. Decides nothing."""
