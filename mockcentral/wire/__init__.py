"""Bytes to meaning and back. Pure: no socket, no clock."""
