"""Phases that few pixels show alone, beside phases that share their elements."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from espm_hs.decomposition import search
from espm_hs.decomposition.search import PhaseSearch
from espm_hs.factorization import divergence_of_fit
from espm_hs.factorization.single_pixels import SinglePixels
from espm_hs.metrics import match_phases
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, record

SHAPE = (40, 40)
ELEMENTS = ["Al", "O", "Y", "Zr"]
# yttrium is in the first phase as well, and all elements but yttrium in the second
PHASES = [
    {"Zr": 0.307, "Y": 0.026, "O": 0.667},
    {"Al": 0.4, "O": 0.6},
    {"Y": 0.15, "Al": 0.25, "O": 0.6},
]
CENTRES = np.array(
    [[29, 4], [32, 12], [28, 20], [34, 27], [29, 34], [37, 5]], dtype=float
)
QUIET = {"algorithm": "espm", "output_dimension": 3, "print_info": False}


def scale(counts, seed=0):
    """A layer with pegs of a few pixels, under another layer; map and spectra."""
    y, x = np.indices(SHAPE)
    apart = np.hypot(y[..., None] - CENTRES[:, 0], x[..., None] - CENTRES[:, 1])
    peg = (apart.min(axis=-1) < 2.2).astype(float)
    above = (y < 24).astype(float)
    shares = np.stack([above, (1 - above) * (1 - peg), (1 - above) * peg], axis=-1)
    shares = gaussian_filter(shares, (0.6, 0.6, 0))
    model = SpectrumModel(-0.1 + 0.02 * np.arange(1000), 200.0, ELEMENTS)
    phases = [Phase(str(i), PHASES[i], 5.0, 0.08) for i in range(3)]
    made = Experiment(model, phases, shares, counts)
    s = record(made, seed)
    s.set_analysis_parameters(mass_thickness=0, detector="windowless")
    return s, made.spectra


def angle_of_pegs(s, spectra, **options):
    """Between what is found and the truth, in degrees."""
    s.decomposition(**QUIET, **options)
    return match_phases(s.analysis_results().spectra, spectra)[1][2]


@pytest.fixture(scope="module")
def few_pegs():
    return scale(150)


def test_pegs_keep_what_they_share_with_the_layer(few_pegs):
    s, spectra = few_pegs
    beyond = angle_of_pegs(s, spectra, binning=2)  # bins alone
    assert not s.analysis_results().gains
    assert angle_of_pegs(s, spectra) < 5
    found = s.analysis_results()
    assert found.binning > 1
    assert any("purest pixels" in step for step in found.gains)
    assert beyond > 30


def test_the_phase_of_which_elements_are_lacking_is_named(few_pegs, monkeypatch):
    s, spectra = few_pegs
    monkeypatch.setattr(search, "lacks_several", lambda *_: True)
    s.decomposition(**QUIET)
    found = s.analysis_results()
    _, layer, peg = match_phases(found.spectra, spectra)[0]
    told = f"Phase {peg} lacks several elements of phase {layer} beside it"
    assert any(step.startswith(told) for step in found.steps)
    assert not any("purest pixels" in gain for gain in found.gains)


def test_pixels_that_are_no_bins_are_asked_as_well():
    s, spectra = scale(400)
    assert angle_of_pegs(s, spectra) < 5
    assert s.analysis_results().binning == 1
    assert angle_of_pegs(s, spectra, binning=1) > 30


def test_pixels_that_nobody_waits_for_leave_all_as_it_was(few_pegs, monkeypatch):
    s, spectra = few_pegs
    before = angle_of_pegs(s, spectra, binning=2)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SinglePixels, "fit", stopped)
    with pytest.warns(UserWarning, match="interrupted"):
        after = angle_of_pegs(s, spectra)
    assert after == pytest.approx(before, abs=1e-6)


def test_the_start_from_the_purest_pixels_has_maps_of_its_own(few_pegs, monkeypatch):
    """Those of the phases as they were would lead back to these."""
    s, spectra = few_pegs
    from_purest, fit, starts = PhaseSearch._from_purest, PhaseSearch._fit, []

    def watched(self, found):
        def seen(self, init, options):
            W, H = init
            starts.append(
                [
                    divergence_of_fit(self.counts, self.problem, W, np.asarray(some))
                    for some in (H, found.H)
                ]
            )
            return fit(self, init, options)

        with monkeypatch.context() as patched:
            patched.setattr(PhaseSearch, "_fit", seen)
            return from_purest(self, found)

    monkeypatch.setattr(PhaseSearch, "_from_purest", watched)
    angle_of_pegs(s, spectra)
    own, old = starts[0]
    assert own < old - 100
