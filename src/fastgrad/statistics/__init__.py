"""Statistics of data in one read: moments, scaling, batch normalisation."""
