"""How well lines are known, and what that does to a fit."""

from itertools import pairwise

import numpy as np
import pytest

from espm_hs.factorization import fit_spectrum
from espm_hs.physics import SpectrumModel, emission_lines
from espm_hs.physics.xray.uncertainty import (
    IONISATION,
    LIGHT_CORRELATION,
    SPREADS,
    LineErrors,
    multiplet,
    multiplets,
)
from espm_hs.quantification.percent_with_errors import fit_response

ENERGY = 0.01 * np.arange(1100)
PEROVSKITE = {"Ba": 1.0, "Ti": 1.0, "O": 3.0}


def film(**options):
    return SpectrumModel(
        ENERGY,
        200,
        list(PEROVSKITE),
        stray_elements=["Cu"],
        take_off_angle=20,
        **{"thickness": 100, "density": 6.0, **options},
    )


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        ("KL3", "KLp"),
        ("L3M5", "L3Md"),
        ("L2N45", "L2Nd"),
        ("M5N67", "M5Nf"),
        ("L1O", "L1O"),
    ],
)
def test_multiplets_of_transitions(transition, expected):
    assert multiplet(transition) == expected


def test_what_is_no_transition():
    with pytest.raises(ValueError, match="'Ka1' is no transition"):
        multiplet("Ka1")


@pytest.mark.parametrize("z", range(5, 93))
def test_all_lines_have_an_error(z):
    """No family is known better than ionisation, or not at all."""
    for line in emission_lines(z, 200):
        spread = LineErrors().of(line.element, line.family)
        assert IONISATION[line.family] < spread.total < 1.1
        if spread.total > 0.99:
            assert line.family == "L"
            assert z < 15


def test_regions_do_not_overlap():
    for family in "KLM":
        regions = [(x.first, x.last) for x in SPREADS if x.family == family]
        for (_, last), (first, _) in pairwise(regions):
            assert first == last + 1


def test_light_elements_are_known_less():
    """Tables of the K yields of C to P differ by 10 to 80 %."""
    errors = [LineErrors().of(e, "K").total for e in ("C", "N", "O", "F", "Si", "Fe")]
    assert np.all(np.diff(errors) < 0)
    assert errors[0] > 0.4
    assert errors[-1] < 0.05


def test_what_the_user_knows_goes_first():
    errors = LineErrors({"L": 0.05, "Ba": 0.02})
    assert errors.of("Sr", "L")[3:] == (0.05,) * 4
    assert errors.of("Ba", "L").total == 0.02
    assert errors.of("Ba", "L").weak == 0.02
    assert errors.of("Ba", "M").total == 0.02
    assert errors.of("O", "K") == LineErrors().of("O", "K")


@pytest.mark.parametrize("absorbs", [False, True])
def test_multiplets_add_up_to_the_columns(absorbs):
    model = film() if absorbs else film(thickness=None, density=None)
    parts = multiplets(model.refined(PEROVSKITE), LineErrors())
    n_lines = sum(column.kind != "background" for column in model.columns)
    member = parts.column[:, None] == np.arange(n_lines)
    expected = model.refined(PEROVSKITE).G[:, :n_lines]
    np.testing.assert_allclose(parts.spectra @ member, expected, atol=1e-12)


def test_shares_of_a_family_add_up_to_one():
    """Their errors leave the emission of the family as it is."""
    model = film()
    parts = multiplets(model, LineErrors({"Ba": 0.0}))
    labels = [column.label for column in model.columns]
    own = parts.column == labels.index("Ba")
    assert own.sum() > 5
    np.testing.assert_allclose(parts.covariance[np.ix_(own, own)], 0, atol=1e-15)
    parts = multiplets(model, LineErrors())
    lines = [line for line in emission_lines("Ba", 200) if line.family == "L"]
    emitted = dict.fromkeys(multiplet(line.transition) for line in lines)
    for name in emitted:
        emitted[name] = sum(
            x.cross_section for x in lines if multiplet(x.transition) == name
        )
    assert len(emitted) == own.sum()
    order = {}
    for line in model._unabsorbed.lines.emitted:
        if line.element == "Ba" and line.family == "L":
            order[multiplet(line.transition)] = None
    share = np.array([emitted[name] for name in order]) / sum(emitted.values())
    variance = share @ parts.covariance[np.ix_(own, own)] @ share
    assert variance == pytest.approx(LineErrors().of("Ba", "L").total ** 2)


def test_light_elements_are_off_together():
    """The ratio of Mg to Si is known better than either, that of Mg to Fe is not."""
    model = SpectrumModel(ENERGY, 200, ["Mg", "Si", "Fe"], background=False)
    parts = multiplets(model, LineErrors())
    strongest = [
        max(np.flatnonzero(parts.column == i), key=lambda j: parts.spectra[:, j].sum())
        for i in range(3)
    ]
    covariance = parts.covariance[np.ix_(strongest, strongest)]
    total = [LineErrors().of(e, "K").total for e in ("Mg", "Si", "Fe")]
    assert covariance[0, 1] == pytest.approx(LIGHT_CORRELATION * total[0] * total[1])
    assert covariance[0, 2] == 0
    known = multiplets(model, LineErrors({"Si": 0.01})).covariance
    assert known[strongest[0], strongest[1]] == 0


def test_response_is_what_a_fit_does():
    """Ba L3 N4,5 and L1 are stronger than the model has them: Ti K makes up for it."""
    model = film()
    G = model.G[model.channels]
    w = np.array([1.0, 1, 3, 1, 1, 1, 1, *[2e-2] * 3])[: G.shape[1]]
    assert len(w) == G.shape[1]
    spectrum = 1e6 * G @ w
    parts = multiplets(model, LineErrors())
    changes = 1e6 * parts.spectra[model.channels] * w[parts.column]
    moved = fit_response(spectrum, G, changes)
    titanium = [column.label for column in model.columns].index("Ti")
    worst = int(np.abs(moved[titanium] * (parts.column != titanium)).argmax())
    assert model.columns[parts.column[worst]].element == "Ba"
    found, _ = fit_spectrum(G, spectrum + 0.01 * changes[:, worst])
    # the response is that of weights of a spectrum of so many counts
    expected = 1e6 * w + 0.01 * moved[:, worst]
    assert abs(moved[titanium, worst]) > 1e-3 * 1e6
    np.testing.assert_allclose(found[:3], expected[:3], rtol=1e-4)
