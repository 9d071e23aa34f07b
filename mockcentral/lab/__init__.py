"""Measuring a client from outside: pure functions from a journal to numbers, and the card that shows them."""
