"""What the counts leave open about each phase."""

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs.decomposition import search as phase_search
from espm_hs.decomposition.ambiguity import Ambiguity, Doubt, ambiguities, doubts
from espm_hs.simulation import DATASETS

QUIET = {"algorithm": "espm", "print_info": False, "smoothness": 0}

ELEMENTS = ("Fe", "O", "Pt")
COMPOSITION = np.array([[0.4, 0.28, 0.0], [0.6, 0.32, 0.0], [0.0, 0.4, 1.0]])
SPECTRA = np.vstack([COMPOSITION, np.full((1, 3), np.nan)])


def test_the_worst_mixture_is_named():
    mixing = np.zeros((2, 3, 3))
    mixing[0, 1, 0], mixing[1, 1, 2], mixing[1, 0, 1] = 0.5, 0.1, 0.25
    first, second, third = ambiguities(ELEMENTS, COMPOSITION, SPECTRA, mixing)
    assert str(first) == (
        "Phase 0: 44° from phase 1; it may lack up to 25 % of phase 1: "
        "Pt 0.0 to 10.0 at.%"
    )
    assert str(second) == (
        "Phase 1: 44° from phase 0; up to 50 % of it may be phase 0: "
        "Pt 40.0 to 80.0 at.%"
    )
    np.testing.assert_allclose(second.low, [16, 4, 40])
    np.testing.assert_allclose(second.high, [28, 32, 80])
    assert third.other is None
    assert third.share == 0
    assert str(third) == (
        "Phase 2: 47° from phase 1; the counts leave no room for mixtures"
    )
    np.testing.assert_allclose(third.low, third.high)


def test_what_lies_beside_a_phase_is_hardly_in_it():
    """It would have the same share of the phase everywhere, and end where that ends."""
    mixing, around = np.zeros((2, 3, 3)), np.zeros((3, 3))
    mixing[0, 1, 0], mixing[0, 1, 2] = 0.5, 0.35
    given = ELEMENTS, COMPOSITION, SPECTRA, mixing, None
    for unknown in (None, np.ones((3, 3))):
        second = ambiguities(*given, unknown)[1]
        assert (second.other, second.is_wide) == (0, True)
    second = ambiguities(*given, around)[1]
    assert (second.other, second.is_wide) == (0, False)
    # what may be nearly all of it is worth a word wherever it lies
    mixing[0, 1, 0] = 0.85
    assert ambiguities(*given, around)[1].is_wide
    mixing[0, 1, 0] = 0.5
    # of two that may be in it, the one around it is worth a word
    around[1, 2] = 0.8
    second = ambiguities(*given, around)[1]
    assert (second.other, second.is_wide) == (2, True)
    # nothing lies beside what the phase may lack
    mixing[0], mixing[1, 1, 2] = 0, 0.5
    second = ambiguities(*given, np.zeros((3, 3)))[1]
    assert (second.contained, second.is_wide) == (False, True)


def test_the_names_of_before(eds):
    assert (Doubt, doubts) == (Ambiguity, ambiguities)
    eds.decomposition(output_dimension=2, **QUIET)
    found = eds.analysis_results()
    assert found.doubts is found.ambiguities
    assert found.mixing is found.feasible_ranges
    assert found.pull is found.bias
    # files keep the keys that older versions read
    assert {"pull", "mixing"} <= set(eds.metadata.EDS_espm.results.keys())


def test_a_phase_without_elements():
    nothing = COMPOSITION * [1, 1, 0]
    found = ambiguities(ELEMENTS, nothing, SPECTRA, np.zeros((2, 3, 3)))
    assert [doubt.other for doubt in found] == [None] * 3


def test_cores_are_never_seen_without_their_shells(tmp_path, capsys):
    s = DATASETS["core_shell"](counts_per_pixel=40, seed=0)
    s.decomposition(output_dimension=3, **QUIET)
    s.save(tmp_path / "map.hspy")
    found = hs.load(tmp_path / "map.hspy").analysis_results()
    np.testing.assert_array_equal(found.mixing, s.analysis_results().mixing)
    core = int(np.argmax(found.composition[found.elements.index("Pt")]))
    carbon = int(np.argmax(found.composition[found.elements.index("C")]))
    shell = 3 - core - carbon
    doubt = found.doubts[core]
    # shell and film were taken out of it, but may have been its own
    assert not doubt.contained
    assert doubt.other == carbon
    assert found.mixing[0, core].max() < 0.1
    assert found.mixing[1, core, shell] > 0.05
    assert doubt.share == found.mixing[1, core, carbon]
    truth = s.ground_truth()
    true = 100 * truth.composition[:, list(truth.names).index("core")]
    # the range comes on top of the noise of the counts
    for element, low, high in zip(doubt.elements, doubt.low, doubt.high, strict=True):
        assert low - 2 < true[truth.elements.index(element)] < high + 2
    assert np.ptp([doubt.low, doubt.high], axis=0).max() > 40
    assert found.doubts[carbon].other is None
    s.print_quantification()
    printed = capsys.readouterr().out
    assert f"{found.labels[core]} wide range" in printed
    assert str(doubt) not in printed
    assert str(doubt) in str(found)


def test_particles_leave_no_room():
    s = DATASETS["particles"](counts_per_pixel=100, seed=0)
    s.decomposition(output_dimension=3, n_init=1, **QUIET)
    for doubt in s.analysis_results().doubts:
        assert (doubt.high - doubt.low).max() < 1


def test_one_phase_cannot_be_mixed(eds):
    eds.decomposition(output_dimension=1, **QUIET)
    found = eds.analysis_results()
    assert found.mixing is None
    assert found.doubts == []
    assert "Phase 0" not in str(found)


@pytest.mark.parametrize("simplex", ["abundances", None])
def test_other_normalisations(eds, simplex):
    eds.decomposition(output_dimension=3, simplex=simplex, **QUIET)
    found = eds.analysis_results()
    assert found.mixing.shape == (2, 3, 3)
    assert np.isfinite(found.mixing).all()
    for doubt in found.doubts:
        assert doubt.low.sum() <= 100 + 1e-6 <= doubt.high.sum() + 2e-6


def test_a_user_who_does_not_want_to_wait(eds, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(phase_search, "mixing_ranges", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        eds.decomposition(output_dimension=2, **QUIET)
    found = eds.analysis_results()
    assert found.interrupted
    assert found.mixing is None
    assert np.isfinite(found.covariance).all()


def test_results_of_before(eds):
    eds.decomposition(output_dimension=2, **QUIET)
    del eds.metadata.EDS_espm.results.mixing
    assert eds.analysis_results().doubts == []
    eds.print_quantification()
