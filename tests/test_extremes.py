"""Whatever the scale, the type and the shape of a problem: finite, allowed, downhill.

Warnings of numpy are errors here. A few examples are drawn in each run; those marked
slow draw thousands.
"""

import numpy as np
import pytest
from conftest import make_map, make_problem
from extremes import (
    CHOICES,
    check_abundances,
    check_composition,
    check_errors,
    check_estimator,
    check_fit,
    check_lowest,
    check_maps,
    draw,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.factorization import (
    Counts,
    Problem,
    abundance_covariance,
    composition_covariance,
    factorize,
    fit_maps,
    mixing_ranges,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def options(**some):
    """Draw options; ``some`` in the place of the usual choices."""
    choices = CHOICES | some
    return st.fixed_dictionaries(
        {name: st.sampled_from(values) for name, values in choices.items()}
    )


def check_all(o):
    case = draw(**o)
    if case is None:
        return
    found = check_fit(case)
    check_maps(case, found.W)
    if case.problem.G is not None:
        check_errors(case, found.W, found.H)


# kernels are compiled for each number of components
@settings(max_examples=60)
@given(o=options(k=[1, 3]))
def test_a_few_problems(o):
    check_all(o)


@settings(max_examples=20)
@given(o=options(k=[1, 3], support=[None]))
def test_a_few_estimators(o):
    case = draw(**o)
    if case is not None:
        check_estimator(case)


@pytest.mark.slow
@settings(max_examples=5000)
@given(o=options())
def test_many_problems(o):
    check_all(o)


@pytest.mark.slow
@settings(max_examples=2000)
@given(o=options(support=[None]))
def test_many_estimators(o):
    case = draw(**o)
    if case is not None:
        check_estimator(case)
