"""Judging a client by a journal, and running one to get a journal."""
