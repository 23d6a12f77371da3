"""How `benchmarks/accuracy/rules.py` tells what a rule of the search does."""

from argparse import ArgumentTypeError, Namespace

import numpy as np
import pytest

from benchmarks.accuracy import rules, zoo
from benchmarks.accuracy.rules import RULES, Compared, Effect
from espm_hs.decomposition import search
from espm_hs.decomposition.search import PhaseSearch


@pytest.fixture(scope="module")
def case():
    given = Namespace(half="training", smoke=True, only="", forward="all")
    return next(zoo.cases(given))


def test_a_rule_that_does_nothing_changes_nothing(case, monkeypatch):
    asked = []

    def errors_of(case):
        asked.append(zoo.decompose(case._replace(signal=case.signal.deepcopy())).found)
        return np.array([0.0])

    monkeypatch.setattr(rules, "errors_of", errors_of)
    acting = set(rules.compare(case, RULES).without)
    idle = [name for name in RULES if name not in acting]
    assert len(asked) == 1 + len(acting)
    assert idle
    for name in idle[:3]:
        with RULES[name].without():
            errors_of(case)
        np.testing.assert_array_equal(asked[-1].W, asked[0].W)
        np.testing.assert_array_equal(asked[-1].covariance, asked[0].covariance)


@pytest.mark.parametrize("name", RULES)
def test_rules_are_switched_off_and_on_again(name):
    rule = RULES[name]
    before = getattr(rule.place, rule.name)
    with rule.without():
        assert getattr(rule.place, rule.name) is rule.off
    assert getattr(rule.place, rule.name) is before


def test_a_rule_acts_if_it_finds_something(monkeypatch):
    acted, rule = [], RULES["coatings"]
    for found in ([], ["a coating"]):
        monkeypatch.setattr(search, "coatings", lambda *_, found=found, **__: found)
        with rule.watched(lambda found=found: acted.append(found)):
            assert search.coatings(1, 2, grid=3) == found
    assert acted == [["a coating"]]


class Blank(PhaseSearch):
    """A search that has steps alone."""

    def __init__(self):
        self.steps = []


@pytest.mark.parametrize(
    ("step", "answer", "acts"), [(None, 1, False), (None, 2, True), ("told", 1, True)]
)
def test_a_rule_acts_if_it_changes_a_fit_or_the_search(monkeypatch, step, answer, acts):
    def places(self, found, errors):
        self.steps.extend([step] if step else [])
        return (found, errors) if answer == 1 else (object(), errors)

    acted = []
    monkeypatch.setattr(PhaseSearch, "_in_places", places)
    with RULES["places"].watched(lambda: acted.append(True)):
        Blank()._in_places(object(), object())
    assert bool(acted) == acts


def test_an_effect_counts_maps_with_and_without_a_rule():
    maps = [
        Compared("a", np.array([1.0, 3.0]), {"matrix": np.array([1.0, 30.0])}),
        Compared("b", np.array([2.0, 6.0]), {"matrix": np.array([4.7, 2.0])}),
        Compared("c", np.array([2.0, 2.0]), {"matrix": np.array([2.4, 2.0])}),
        Compared("d", np.array([12.0, 1.0]), {}),
    ]
    effect = Effect.of("matrix", maps)
    assert effect.cells == (
        *("matrix", 3, 2, 1, 1),
        *("2 (50 %)", "2 (50 %)", "1 (25 %)", "2 (50 %)"),
        "-27.0 to +1.3",
    )
    assert effect.text == (
        "matrix: a (3.0 with it, 30.0 at.% without); b (6.0 with it, 4.7 at.% without)."
    )
    idle = "4 (100 %)", "4 (100 %)", "0 (0 %)", "0 (0 %)"
    right = [one._replace(errors=one.errors / 4) for one in maps]
    assert Effect.of("films", right).cells == ("films", 0, 0, 0, 0, *idle, "–")


def test_sets_are_named():
    assert zoo.halves("last,final") == ["last", "final"]
    with pytest.raises(ArgumentTypeError, match="final"):
        zoo.halves("finale")
