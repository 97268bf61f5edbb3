"""Losses as people write them."""
