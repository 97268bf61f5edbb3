"""Kernels of other SIMD levels, and programs on them, pass what those of this CPU do."""

from pathlib import Path

import pytest

PASSED = {
    "kernels/test_differences.py": (
        "test_what_leaves_the_range_of_numbers_does_as_in_numpy",
        "test_an_unperturbed_lane_does_not_differ",
        "test_a_lane_does_not_see_its_neighbours",
        "test_saturation_and_cancellation_keep_their_digits",
    ),
    "kernels/test_extents.py": (
        "test_no_extent_is_too_short",
        "test_an_index_that_only_one_factor_has_may_be_of_any_length",
    ),
    "program/test_program.py": (
        "test_a_program_gives_the_differences_of_its_function",
    ),
}


@pytest.mark.parametrize("level", ["base", "v3"])
def test_other_simd_levels_do_the_same(level, passes_at):
    folder = Path(__file__).parents[1]
    tests = [f"{folder / file}::{name}" for file in PASSED for name in PASSED[file]]
    passes_at(level, *tests)
