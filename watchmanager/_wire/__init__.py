"""Bytes and JSON on one side, this package's dataclasses on the other. The only place that knows protobuf."""
