"""Why a gradient is wrong: causes, ranked, each with its evidence.

- `naming`: the story. `evidence`: what is given, block by block, and when a guess
  matches.
- `blocks`: edits of whole blocks, which need no program: `numbers`, places and
  `permutations` of entries, rows or columns; `counts` for what a factor may be.
- `reverse`: the reverse pass over the program, and how it changes under an edit; to a
  side where values are `ties`.
- `sites` and `edits`: the grammar. Where an array stands in the reverse pass, and what
  may stand there instead: another expression (`kinds` of edits of the `rules`, which
  are `expressions`; what is one rule for the user is known by its value), another way
  to write back (`indices`), the array misarranged (`arrangements`), another array of
  all that may be read (`readings`), by its name (`names`). `patterns`: values that are
  functions of one value, or sums of terms. Edits of several operations are `compounds`,
  two mistakes at once `combinations`.
- `probes`: an edit projected on the error, a dot product; `search`: all edits at all
  sites, and what becomes of those that pass; `words` for them.
- `ranking`: what is shown of what was found; `telling`: in which words. `location`:
  where nothing was found; `sections` of a vector, as blocks of their own. `points`: a
  second point, which refutes coincidences. `budget`: when to stop.
- `lines`: where in the user's gradient code the mistake is, by what is `known` there;
  `repairs`: which edit of it makes the gradient right. `rewrites` are those that need
  no other array, `constants` are other numbers, `substitutes` read something else, or
  other `data` are given; all draw on the same arrangements and readings. `codes` say
  what that is called; `views` run the code with an edit, and say what weighs in it.

A cause is named when doing the mistake to the right gradient gives the gradient under
test, within the error bars, in whole blocks. Nothing that merely looks alike is named.
"""

from fastgrad.causes.evidence import Measured
from fastgrad.causes.naming import name_causes

__all__ = ["Measured", "name_causes"]
