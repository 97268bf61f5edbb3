"""Losses at perturbed points, whichever way they are computed."""
