"""What the functions of NumPy, SciPy and `math` mean, each in plain traced NumPy.

One declaration each, ``@means("scipy.special.softmax")``, by public name: importing the
module registers it, and the test of the family includes it. `meaning_of` finds them.

- `arrays`, `selection`, `statistics`, `order`, `scattering`, `calculus`, `polynomials`:
  NumPy's functions that are made of others.
- `linear`, `transforms`: Fourier transforms, filters, functions linear in an array.
- `numbers`: ufuncs made of others, the module `math`, builtins.
- `draws`: random numbers.
- `special`, `algebra`, `densities`, `summaries`, `sparse`: SciPy's.
"""

from fastgrad.program.primitives.meanings import (  # noqa: F401
    algebra,
    arrays,
    calculus,
    densities,
    draws,
    linear,
    numbers,
    order,
    polynomials,
    pools,
    products,
    scattering,
    selection,
    sparse,
    special,
    statistics,
    summaries,
    transforms,
)
from fastgrad.program.primitives.meanings.registry import MEANINGS, meaning_of, means

__all__ = ["MEANINGS", "meaning_of", "means"]
