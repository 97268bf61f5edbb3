"""The operations a program is made of, and NumPy's functions in their terms."""
