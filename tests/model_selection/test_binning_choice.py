"""Which binning trades noise against resolution best."""

import hyperspy.api as hs
import numpy as np
import pytest

from espm_hs import metrics
from espm_hs.factorization import Bins, Counts, Penalties, Problem, fit_maps
from espm_hs.simulation import DATASETS

QUICK = {"n_thinnings": 2, "n_init": 1}


def map_error(s, factor):
    """Error of the maps that the true phases have with a binning."""
    truth, channels = s.ground_truth(), s.physical_model().channels
    counts = Counts.from_array(s.data, channels=channels)
    bins = Bins.from_shape(s.data.shape[:-1], factor)
    problem = Problem(int(channels.sum()), 3, penalties=Penalties(1.0))
    H, _ = fit_maps(bins.merge(counts), problem, truth.spectra[channels])
    return metrics.map_errors(bins.spread(H), truth.thickness.reshape(-1, 3))[0].mean()


@pytest.mark.parametrize(
    ("name", "dose"), [("particles", 20), ("grain_boundary", 60), ("mantle", 18)]
)
def test_the_maps_are_close_to_the_best_possible(name, dose):
    s = DATASETS[name](counts_per_pixel=dose, seed=1)
    chosen = s.estimate_binning(3, **QUICK)
    numbers = s.metadata.EDS_espm.best_binning.numbers
    errors = {int(n): map_error(s, int(n)) for n in numbers}
    assert errors[chosen] < 1.6 * min(errors.values())
    assert errors[chosen] < 0.5 * errors[1]


def test_more_counts_are_binned_less():
    dark, bright = (
        DATASETS["mantle"]((64, 64), dose).estimate_binning(3, **QUICK)
        for dose in (5, 500)
    )
    assert bright < dark


def test_the_curve_is_kept_and_drawn(eds, tmp_path):
    with pytest.raises(RuntimeError, match="estimate_binning"):
        eds.plot_binning()
    best = eds.estimate_binning(3, [2, 1, 3], **QUICK)
    eds.save(tmp_path / "map.hspy")
    loaded = hs.load(tmp_path / "map.hspy")
    stored = loaded.metadata.EDS_espm.best_binning
    # pixels of this map have nothing to do with their neighbours, and many counts
    assert stored.best == best == 1
    assert stored.numbers.tolist() == [1, 2, 3]
    assert stored.loss.shape == (3, 2)
    figure = loaded.plot_binning()
    assert figure.axes[0].get_xlabel() == "Pixels of a bin along each axis"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "single pixels" in texts


def test_lazy_maps_masks_and_threads():
    options = {"counts_per_pixel": 20, "seed": 2}
    mask = np.zeros((64, 64), bool)
    mask[:, :10] = True
    curves = []
    for lazy, n_jobs in ((False, 1), (True, 2)):
        s = DATASETS["particles"]((64, 64), lazy=lazy, **options)
        s.estimate_binning(3, [1, 2, 4], navigation_mask=mask.T, n_jobs=n_jobs, **QUICK)
        curves.append(s.metadata.EDS_espm.best_binning.loss)
    np.testing.assert_array_equal(*curves)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_dimension": None}, "number of phases is not given"),
        ({"output_dimension": 1000}, "must be between 1"),
        ({"binnings": [3]}, "`binnings` is .3.; needed are at least two"),
        ({"binnings": 4}, "`binnings` is 4; needed are at least two"),
        ({"binnings": [0, 1]}, "`binnings` has 0"),
        ({"binnings": [1, 1.5]}, "`binnings` has 1.5"),
        ({"binnings": [1, 9]}, "leaves 1 bins"),
        ({"n_thinnings": 1}, "`n_thinnings` must be"),
    ],
)
def test_arguments_that_make_no_sense(eds, arguments, message):
    before = eds.metadata.as_dictionary()
    with pytest.raises(ValueError, match=message):
        eds.estimate_binning(**{"output_dimension": 3} | arguments)
    assert eds.metadata.as_dictionary() == before


def test_a_map_too_small_to_be_binned(eds):
    with pytest.raises(ValueError, match="map has 3 x 2 pixels"):
        eds.inav[:2, :3].estimate_binning(2)
    with pytest.raises(ValueError, match="map has 1 pixels"):
        eds.inav[0, 0].estimate_binning(1)


def test_what_was_not_counted(eds):
    eds.change_dtype(float)
    eds.data = eds.data * 0.37
    with pytest.raises(ValueError, match="as they were measured"):
        eds.estimate_binning(3, [1, 2])
