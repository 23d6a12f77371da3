"""How `benchmarks/accuracy/from_truth.py` tells what the counts prefer."""

from argparse import Namespace

from benchmarks.accuracy import from_truth, zoo
from benchmarks.accuracy.from_truth import Compared, rows_of


def test_a_fit_from_the_truth_leaves_the_search_as_it_was():
    given = Namespace(half=["training"], smoke=True, only="", forward="all")
    half, case = next(zoo.all_cases(given))
    one = from_truth.compare(case, half)
    assert one.error == zoo.decompose(case).error
    # it is the same problem
    assert abs(one.F) < 100


def test_maps_that_are_not_right_are_counted_by_what_the_objective_prefers():
    differences = [(20.0, -9.0, 3.0), (7.0, -9.0, 0.0), (6.0, 3.0, 9.0), (8.0, 5.0, -5)]
    maps = [Compared("a", "", *one) for one in differences]
    maps.append(Compared("b", "", 1.0, -50.0, 50.0))
    #                        not right  lower  level  higher  likelihood
    assert rows_of(maps) == [("a", 4, 4, 2, 1, 1, 1), ("b", 1, 0, 0, 0, 0, 0)]
