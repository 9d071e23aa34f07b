"""Scenario files: schema, reading, catalogue. Data only, no behaviour of the fake."""
