"""Nests of arrays as one vector of parameters."""
