"""Clients of this repository, wrapped so that mockcentral can run them: the only place that may import
`watchmanager`.
"""
