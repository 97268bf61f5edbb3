"""Is a gradient wrong, and where: from losses at perturbed points to a verdict."""
