"""Benchmarks that asv tracks; see ``asv.conf.json``."""
