"""How `benchmarks/accuracy/zoo.py` judges phases; `make benchmarks-smoke` runs it."""

from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.accuracy import zoo
from benchmarks.accuracy.materials import HALVES
from benchmarks.accuracy.zoo_peers import NARROW, absorbed, verdict
from espm_hs.decomposition.cautions import Caution


@pytest.fixture(scope="module")
def case():
    given = Namespace(half="training", smoke=True, only="", forward="all")
    return next(zoo.cases(given))


@pytest.fixture(scope="module")
def nominal(case):
    elements = case.experiment.model.elements
    atoms = [
        [phase.composition.get(symbol, 0) for phase in case.experiment.phases]
        for symbol in elements
    ]
    return 100 * np.array(atoms) / np.sum(atoms, axis=0)


def found(case, fractions, error=0.0, width=0.0, cautions=()):
    """A result of one error for all fractions, and ranges of one width."""
    n_elements, n_phases = fractions.shape
    covariance = np.tile(error**2 * np.eye(n_elements), (n_phases, 1, 1))
    return SimpleNamespace(
        spectra=case.experiment.spectra,
        model=case.experiment.model,
        composition=fractions,
        covariance=covariance,
        element_columns=np.ones(n_elements, bool),
        ranges=np.stack((fractions - width, fractions + width)),
        cautions=cautions,
    )


def off(nominal, by):
    """The true fractions, but for two elements of the first phase."""
    wrong = nominal / 100
    wrong[np.argsort(wrong[:, 0])[-2:], 0] += (by, -by)
    return wrong


@pytest.mark.parametrize(
    ("half", "shape"),
    [
        *((half, zoo.SHAPE) for half in HALVES),
        *(
            (half, NARROW)
            for half in ("blind", "later", "last", "final", "eighth", "ninth")
        ),
    ],
)
def test_maps_of_samples_have_some_of_each_phase(half, shape):
    makers, seed = HALVES[half]
    assert len(makers) == 8
    for n, maker in enumerate(makers):
        sample = maker(np.random.default_rng([seed, n, 0]), shape)
        maps = sample.thickness
        assert maps.shape == (*shape, len(sample.phases)), maker.__name__
        assert (maps >= 0).all(), maker.__name__
        assert (maps.max(axis=(0, 1)) > 1).all(), maker.__name__


def test_sets_share_neither_materials_nor_seeds():
    makers = [maker.__name__ for set_, _ in HALVES.values() for maker in set_]
    assert len(set(makers)) == len(makers)
    assert len({seed for _, seed in HALVES.values()}) == len(HALVES)


def test_the_reference_of_the_own_physics_is_the_truth(case, nominal):
    percent = zoo.reference(case, case.experiment.model)
    np.testing.assert_allclose(percent, nominal, atol=0.05)


def test_spectra_of_peers_are_absorbed_by_what_they_show(case, nominal):
    spectrum = case.experiment.spectra[:, 0]
    percent = absorbed(case.experiment.model, spectrum)
    np.testing.assert_allclose(percent, nominal[:, 0], atol=0.3)
    assert not absorbed(case.experiment.model, 0 * spectrum).any()


@pytest.mark.parametrize(
    ("by", "options", "right", "wrong", "silent"),
    [
        (0.01, {}, True, False, False),
        (0.07, {}, False, False, False),
        (0.15, {}, False, True, True),
        (0.15, {"width": 0.2}, False, True, False),
        (0.15, {"error": 0.1}, False, True, False),
        (0.15, {"cautions": [Caution("bias", 0, "")]}, False, True, False),
        (0.15, {"cautions": [Caution("bias", 1, "")]}, False, True, True),
    ],
)
def test_verdict(case, nominal, by, options, right, wrong, silent):
    first, second = zoo.judge(case, found(case, off(nominal, by), **options))
    assert first.error == pytest.approx(100 * by, abs=0.1)
    assert (first.right, first.wrong, first.silent) == (right, wrong, silent)
    assert second.right
    assert not second.silent


def test_phases_without_elements_are_wrong(case, nominal):
    verdicts = zoo.judge(case, found(case, 0 * nominal))
    assert all(phase.wrong for phase in verdicts)


def test_summary_names_errors_of_which_nobody_is_told(case):
    good = zoo.Verdict("gamma", 1.0, (), True)
    warned = zoo.Verdict("gamma'", 2.0, ("range",), True)
    bad = zoo.Verdict("gamma'", 20.0, (), False)
    outcomes = [
        zoo.Outcome(case, phases, None, 1.0)
        for phases in ([good, warned], [good, warned], [good, good], [good, bad])
    ]
    text = "\n".join(zoo.summary(outcomes))
    assert "within 5 at.% in 75 %, one beyond 10 at.% in 25 %; 4 s" in text
    assert "8 phases: 7 right, 1 wrong, 0 in between" in text
    assert "superalloy, own, 4 counts: gamma' (20 at.%)" in text
    assert "29 % carry a caution" in text
    assert "range 2 and 0" in text
    assert zoo.by_material(outcomes) == [("superalloy", "2", "4", "3", "1", "20.0")]


def test_maps_in_which_others_are_better_are_named():
    text = verdict("NMF", {"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 1.5})
    assert text.startswith("espm_hs is better than NMF in 50 % of 2 maps")
    assert "not in b (2.0 to 1.5 at.%)" in text
