"""Probabilities of names, compared with integrals in plain numpy."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from espm_hs.compounds import read_compounds
from espm_hs.compounds.identification import (
    NONE,
    SAME,
    _Errors,
    candidates,
    identify,
)

UNSEEN = {"H", "He", "Li", "Be"}
ELEMENTS = ("O", "Mg", "Si", "Fe")


def covariance(percent, errors):
    """Independent errors, after closing."""
    closing = np.eye(percent.size) - percent[:, None] / 100
    return closing @ np.diag(np.square(errors)) @ closing.T


def among(*formulas, elements=ELEMENTS, unseen=UNSEEN):
    return candidates(read_compounds(list(formulas)), elements, unseen)


PERCENT = np.array([57.5, 25.0, 13.5, 4.0])
SPREAD = covariance(PERCENT, [2.0, 1.5, 1.0, 0.7])


def density(composition):
    """Of the measured composition, in all coordinates but the first."""
    spread = SPREAD[1:, 1:] + SAME**2 * np.eye(3)
    return multivariate_normal(PERCENT[1:], spread).pdf(
        np.asarray(composition)[..., 1:]
    )


def test_evidence_of_a_compound():
    (one,) = among("Mg2SiO4")
    log, _ = _Errors(PERCENT, SPREAD).of_points(one.members[0])
    assert np.exp(log) == pytest.approx(density(one.members[0]))


def test_evidence_of_a_series_is_the_mean_over_it():
    (one,) = among("(Mg,Fe)2SiO4")
    share = np.linspace(0, 1, 20001)[:, None]
    along = density((1 - share) * one.members[0] + share * one.members[1])
    log, _, likely = _Errors(PERCENT, SPREAD).of_simplex(one.members)
    assert np.exp(log) == pytest.approx(along.mean(), rel=0.02)
    mean = np.average(share[:, 0], weights=along)
    assert likely[:, 1].mean() == pytest.approx(mean, abs=2e-3)
    error = np.sqrt(np.average((share[:, 0] - mean) ** 2, weights=along))
    assert likely[:, 1].std() == pytest.approx(error, rel=0.05)


def test_evidence_of_a_simplex_is_the_mean_over_it():
    (one,) = among("Mg2SiO4 | Fe2SiO4 | MgSiO3")
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 400_000)
    log, _, _ = _Errors(PERCENT, SPREAD).of_simplex(one.members)
    assert np.exp(log) == pytest.approx(density(shares @ one.members).mean(), rel=0.03)


def test_evidence_of_a_mixture_is_the_mean_over_it():
    one, other = among("Mg2SiO4", "FeO")
    share = np.linspace(0.15, 0.85, 20001)[:, None]
    along = density((1 - share) * one.members[0] + share * other.members[0]).mean()
    pairs = _Errors(PERCENT, SPREAD).of_pairs(
        np.array([one.members[0], other.members[0]])
    )
    assert np.exp(pairs.log[0]) == pytest.approx(along, rel=0.01)


def test_evidence_of_nothing_is_the_mean_over_all_faces():
    rng, n, total = np.random.default_rng(1), 4, 0.0
    for k in range(1, n + 1):
        chosen = np.argsort(rng.random((200_000, n)), axis=1)[:, :k]
        shares = np.zeros((200_000, n))
        np.put_along_axis(shares, chosen, rng.dirichlet(np.ones(k), 200_000), axis=1)
        total += density(100 * shares).mean() / n
    # the faces that are far from what was measured are left out there
    found = np.exp(_Errors(PERCENT, SPREAD).of_nothing())
    assert found == pytest.approx(total, rel=0.1)


def test_probabilities_add_up_to_one():
    for mixtures in (True, False):
        names = identify(PERCENT, SPREAD, among("Mg2SiO4", "FeO", "(Mg,Fe)2SiO4"),
                         mixtures=mixtures)  # fmt: skip
        assert sum(one.probability for one in names) == pytest.approx(1)
    (only,) = identify(PERCENT, SPREAD, [])
    assert (only.kind, only.probability) == ("none", 1)


def test_probability_is_evidence_times_prior():
    """Without impurities, which the spread of the elements hides here.

    What the spread leaves open is none of them.
    """
    wide = 1e4 * SPREAD / SPREAD.max()
    two = among("Mg2SiO4", "MgSiO3")
    names = {one.name: one for one in identify(PERCENT, wide, two, mixtures=False)}
    errors = _Errors(PERCENT, wide)
    logs = [errors.of_points(one.members[0])[0] for one in two]
    nothing = np.exp(errors.of_nothing()) * NONE
    parts = np.array([*np.exp(logs) * (1 - NONE) / 2, nothing])
    known = 1 / (1 + 1e4 / (100**2 / 12))
    expected = known * parts / parts.sum() + [0, 0, 1 - known]
    found = [names[x].probability for x in ("Mg2SiO4", "MgSiO3", "none of these")]
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("error", "low", "high"), [(1, 0.95, 0.98), (10, 0.8, 0.9), (29, 0.4, 0.5)]
)
def test_what_is_barely_known_has_no_name(error, low, high):
    """A series of all compositions would have one, whatever the composition is."""
    series = among("Fe | Mg", elements=("Mg", "Fe"))
    percent = np.array([50.0, 50.0])
    spread = error**2 * np.array([[1.0, -1.0], [-1.0, 1.0]])
    names = {x.kind: x for x in identify(percent, spread, series)}
    assert low < names["solid solution"].probability < high
    assert sum(x.probability for x in names.values()) == pytest.approx(1)


def test_position_in_a_series():
    """Shares of the formulas, though its ends have unequal numbers of atoms."""
    truth = {"Fe": 0.75 * 1 + 0.25 * 0.875, "S": 1.0}
    percent = 100 * np.array([truth["Fe"], truth["S"]]) / sum(truth.values())
    (series,) = among("FeS | Fe0.875S", elements=("Fe", "S"))
    name = identify(percent, covariance(percent, [0.05, 0.05]), [series])[0]
    label, value, error = name.position[0]
    assert label == "FeS"
    assert value == pytest.approx(75, abs=2)
    assert 0 < error < 5
    assert str(name).startswith("FeS | Fe0.875S, FeS 7")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.88])
def test_position_has_its_error(share):
    truth = np.array([400 / 7, 200 / 7 * share, 100 / 7, 200 / 7 * (1 - share)])
    rng, off = np.random.default_rng(3), []
    series = among("(Mg,Fe)2SiO4")
    for _ in range(60):
        found = np.clip(truth + rng.normal(size=4), 0, None)
        found *= 100 / found.sum()
        names = identify(found, covariance(found, np.ones(4)), series)
        (best,) = (one for one in names if one.kind == "solid solution")
        _, value, error = best.position[0]
        off.append((value - 100 * share) / error)
    assert np.mean(np.abs(off) < 2) > 0.85
    # at the end of the series it is known better than one draw says
    assert 0.4 < np.std(off) < 1.35


def test_compounds_that_look_the_same_are_one():
    found = among("SiO2", "SiO2·H2O", "Si", "Be2SiO4", elements=("Si", "O"))
    names = sorted(one.names for one in found)
    assert ("SiO2",) in names
    without = among("SiO2", "SiC", "Si", elements=("Si",), unseen={*UNSEEN, "O", "C"})
    assert [set(one.names) for one in without] == [{"SiO2", "SiC", "Si"}]


def test_what_has_other_elements_is_left_out():
    assert among("CaO", "(Mg,Ca)O") == []
    (one,) = among("MgO | FeO | CaO")
    assert one.labels == ("MgO", "FeO")


def test_an_unknown_compound_is_none_of_these():
    percent = np.array([50.0, 10.0, 10.0, 30.0])
    names = identify(percent, covariance(percent, np.ones(4)), among("MgO", "Mg2SiO4"))
    assert names[0].name == "none of these"
    assert names[0].probability > 0.9


def test_impurities_do_not_hide_a_name():
    percent = np.array([57.0, 28.0, 13.0, 2.0])
    names = identify(percent, covariance(percent, 0.1 * np.ones(4)), among("Mg2SiO4"))
    assert names[0].name == "Mg2SiO4"


def test_a_single_element_tells_nothing():
    found = among("Si", "SiO2", elements=("Si",), unseen={*UNSEEN, "O"})
    names = identify(np.array([100.0]), np.zeros((1, 1)), found)
    assert names[0].probability == pytest.approx(1 - NONE)


@pytest.mark.parametrize("error", [0.0, 1e-6, 1e3])
def test_extreme_errors(error):
    names = identify(PERCENT, covariance(PERCENT, error * np.ones(4)),
                     among("Mg2SiO4", "(Mg,Fe)2SiO4", "FeO"))  # fmt: skip
    assert np.isfinite([one.probability for one in names]).all()


def test_one_element_alone_bears_out_no_name():
    """Oxygen is seen of beryllia, ice and others, and of none what makes it that."""
    found = among("BeO", "H2O", "SiO2", elements=("O", "Si"))
    best = identify(np.array([100.0, 0.0]), np.diag([4.0, 4.0]), found)[0]
    assert (best.kind, best.alone, best.name) == (
        "compound",
        "O",
        "O with what is not seen",
    )
    assert best.others == "BeO, H2O"
    # two elements do, and so does the element itself
    found = among("LiAlO2", "Al", elements=("O", "Al"))
    assert [one.alone for one in found] == ["", ""]
    # also as part of a mixture
    found = among("BeO", "SiO2", elements=("O", "Si"))
    names = identify(np.array([85.0, 15.0]), np.diag([0.5, 0.5]), found)
    (mixed,) = (x for x in names if x.kind == "mixture" and x.names)
    assert sorted(mixed.names) == ["O with what is not seen", "SiO2"]
