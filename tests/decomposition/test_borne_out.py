"""A lower objective to which single pixels object."""

import pytest

from espm_hs.decomposition.search import PhaseSearch
from espm_hs.factorization.single_pixels import SinglePixels
from espm_hs.metrics import match_phases
from espm_hs.simulation import grain_boundary


@pytest.fixture(scope="module")
def boundary():
    """Two grains and the glass between them, of which no bin is glass alone."""
    return grain_boundary(shape=(32, 32), counts_per_pixel=150, seed=0)


def error_of_glass(s):
    """Angle between the glass that is found and the true one, in degrees."""
    s.decomposition(algorithm="espm", output_dimension=3)
    _, angles = match_phases(s.analysis_results().spectra, s.ground_truth().spectra)
    return angles[2]


def test_the_search_does_not_go_where_single_pixels_object(boundary, monkeypatch):
    found = error_of_glass(boundary)
    F = boundary.analysis_results().objective
    with monkeypatch.context() as patched:
        patched.setattr(PhaseSearch, "_borne_out", lambda *_: True)
        elsewhere = error_of_glass(boundary)
    # the objective hardly tells the two apart
    assert boundary.analysis_results().objective == pytest.approx(F, abs=10)
    assert found < 9
    assert elsewhere > 11


def test_pixels_that_nobody_waits_for_leave_what_was_found(boundary, monkeypatch):
    found = error_of_glass(boundary)

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SinglePixels, "compare", stopped)
        with pytest.warns(UserWarning, match="interrupted"):
            assert error_of_glass(boundary) == pytest.approx(found, abs=1)
    assert boundary.analysis_results().interrupted
