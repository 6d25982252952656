"""Turns scans of one source into ``manifest.json`` and images: ``python -m data_prep <source>``."""
