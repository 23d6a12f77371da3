"""Maps of the same pixels by several detectors: stacked models, gains, thickness."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from scipy.optimize import nnls

from benchmarks.accuracy.joint import altered, compared
from espm_hs import decompose_together, estimate_number_together
from espm_hs.calibration.segments import with_mass_thickness
from espm_hs.decomposition.decompose import DecompositionOptions, decompose
from espm_hs.decomposition.stacked import StackedModel, with_gains
from espm_hs.decomposition.together import OneOfMaps, decompose_maps
from espm_hs.factorization import Counts, side_by_side
from espm_hs.physics.linear_model import read_model
from espm_hs.simulation import particles, record

QUIET = {"print_info": False, "show_progressbar": False}
OPTIONS = DecompositionOptions(
    sparsity=None, binning="auto", smoothness=0.0, n_init=2, random_state=0
)


def pair_of(shape, counts=(80, 40), angles=(8.0, 30.0), seed=0, **changes):
    """Two segments at different angles, one of which counts half as much."""
    return [
        record(
            altered("particles", shape, n, take_off_angle=angle, **changes), seed + i
        )
        for i, (n, angle) in enumerate(zip(counts, angles, strict=True))
    ]


@pytest.fixture(scope="module")
def segments():
    maps = pair_of((24, 24))
    result = decompose_together(maps, 3, shared="pixels", **QUIET)
    return maps, result


def test_channels_stand_side_by_side():
    rng = np.random.default_rng(0)
    maps = [rng.poisson(0.3, (700, n)) for n in (90, 70)]
    together = side_by_side([Counts.from_array(one) for one in maps])
    np.testing.assert_array_equal(together.to_csr().toarray(), np.hstack(maps))
    assert together.integer


def test_a_stack_is_its_models():
    one, other = (s.physical_model() for s in pair_of((4, 4)))
    other = other.replace(elements=one.elements[::-1], stray_elements=["Cu", "Mo"])
    stack = StackedModel((one, other), (1.0, 0.5))
    labels = [column.label for column in stack.columns]
    assert len(set(labels)) == len(labels)
    assert stack.elements == one.elements
    w = np.random.default_rng(1).random(len(labels))
    for model, gain, own, part in zip(
        stack.models, stack.gains, stack.places, stack.parts, strict=True
    ):
        np.testing.assert_allclose((stack.G @ w)[part], gain * model.G @ w[own])
    # of the sample all have the same weights, and of nothing else
    shared = set(stack.places[0]) & set(stack.places[1])
    assert {stack.columns[i].element for i in shared} <= set(one.elements)
    assert shared >= set(range(len(one.elements)))
    composition = dict.fromkeys(one.elements, 1.0)
    refined = stack.refined(composition)
    np.testing.assert_allclose(
        refined.G[stack.parts[0]][:, stack.places[0]], one.refined(composition).G
    )
    again = read_model("stacked", stack.to_dict())
    np.testing.assert_array_equal(again.G, stack.G)
    # what does not depend on the detector is that of any of them
    np.testing.assert_array_equal(stack.weights, one.weights)
    assert stack.advice == one.advice


def test_gains_of_noiseless_spectra():
    one, other = (s.physical_model() for s in pair_of((4, 4)))
    rows = one.element_columns
    w = np.where(rows, 5.0, 1.0) * np.random.default_rng(0).random(rows.size)
    fractions = dict(zip(one.elements, w[rows], strict=True))
    models = [model.refined(fractions) for model in (one, other)]
    spectra = [g * m.G[m.channels] @ w for g, m in zip((1, 0.4), models, strict=True)]
    stack = with_gains([one, other], spectra, [one.channels, other.channels])
    assert stack.gains == pytest.approx((1.0, 0.4), rel=2e-3)


def test_segments_share_phases_and_maps(segments):
    maps, result = segments
    one, other = (s.analysis_results() for s in maps)
    np.testing.assert_allclose(
        one.W[one.element_columns], other.W[other.element_columns], atol=1e-12
    )
    # the same map, in counts of each segment
    a, b = (np.asarray(s.learning_results.loadings) for s in maps)
    ratio = a.sum(axis=0) / b.sum(axis=0)
    np.testing.assert_allclose(a, b * ratio, rtol=1e-9)
    for signal in maps:
        loadings = np.asarray(signal.learning_results.loadings)
        assert loadings.sum() == pytest.approx(signal.data.sum(), rel=0.01)
        found = compared(signal)
        assert (np.abs(found.difference) < 4 * found.errors + 0.3).all()
        assert 0.85 < signal.analysis_results().misfit < 1.2
    # shares of atoms are those of the sample, whichever segment sees them
    np.testing.assert_allclose(*result.percent_of_atoms, atol=3)


def test_each_result_is_a_model_of_its_own_counts(segments):
    """The spectra are G W in proportion, and their maps the best for these counts."""
    maps, _ = segments
    for signal in maps:
        found = signal.analysis_results()
        used = found.channels
        made = (found.G[:, used] @ found.W.T[..., None])[..., 0].T
        # but for the last step of the composition that absorbs
        np.testing.assert_allclose(
            found.spectra[used], made / made.sum(axis=0), rtol=2e-3
        )
        atoms = found.W[found.element_columns].sum(axis=0)
        ratio = found.atoms / (atoms / made.sum(axis=0))
        np.testing.assert_allclose(ratio, ratio[0], rtol=2e-3)
        total = signal.data.sum(axis=(0, 1))[used].astype(float)
        alone, _ = nnls(found.spectra[used], total)
        held = np.asarray(signal.learning_results.loadings).sum(axis=0)
        np.testing.assert_allclose(held, alone, rtol=0.1)


def test_the_order_of_segments_changes_no_bit_and_lazy_ones_are_the_same():
    maps = pair_of((12, 12))
    given = [OneOfMaps(s.data, s.physical_model()) for s in maps]
    found = decompose_maps(given, 3, OPTIONS, "pixels")
    lazy = given[1]._replace(data=da.from_array(given[1].data, (5, 6, -1)))
    again = decompose_maps([lazy, given[0]], 3, replace(OPTIONS, n_jobs=2), "pixels")
    for one, other in zip(found.analyses, again.analyses[::-1], strict=True):
        for name in ("W", "covariance", "loadings", "spectra", "atoms", "counts"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_one_segment_is_the_map_alone():
    (signal, _) = pair_of((10, 10))
    model = signal.physical_model()
    alone = decompose(signal.data, model, 3, OPTIONS)
    found = decompose_maps([OneOfMaps(signal.data, model)], 3, OPTIONS, "pixels")
    for name in ("W", "covariance", "loadings", "spectra"):
        np.testing.assert_array_equal(
            getattr(found.analyses[0], name), getattr(alone, name)
        )


def test_their_angles_tell_the_thickness():
    """With 300 nm at 8 and 30 degrees, where one segment alone says little."""
    maps = pair_of((24, 24), counts=(100, 60), thickness=300.0)
    true = maps[0].physical_model().mass_thickness
    asked = [
        OneOfMaps(s.data, s.physical_model(thickness=None), pixels=None) for s in maps
    ]
    fitted, found = with_mass_thickness(asked, 3, OPTIONS)
    assert found.low < true < found.high
    assert found.high / found.low < 4  # a film of which nothing is known: 15
    for one in fitted:
        assert one.model.mass_thickness == pytest.approx(found.value)
        assert "thickness" not in one.model.unknown
    # both at one angle say nothing of each other
    same = pair_of((12, 12), angles=(20.0, 20.0), thickness=300.0)
    asked = [OneOfMaps(s.data, s.physical_model(thickness=None)) for s in same]
    wide = with_mass_thickness(asked, 3, OPTIONS)[1]
    assert wide.spread > 1.5 * found.spread


def test_a_thickness_that_nobody_stated_is_kept_with_the_result():
    maps = pair_of((16, 16), counts=(60, 40), thickness=200.0)
    for signal in maps:
        del signal.metadata.Sample.thickness
    decompose_together(maps, 3, shared="pixels", **QUIET)
    models = [s.analysis_results().model for s in maps]
    assert models[0].mass_thickness == models[1].mass_thickness > 0
    text = str(maps[0].print_quantification())
    assert "result of before" not in text
    assert "State it with" not in text
    assert "thickness" not in maps[0].metadata.Sample
    assert maps[1].get_decomposition_loadings().data.shape == (3, 16, 16)


def test_number_of_phases_of_segments():
    maps = pair_of((20, 20), counts=(40, 20))
    options = {"n_thinnings": 2, "n_init": 1, "show_progressbar": False}
    found = estimate_number_together(maps, range(1, 5), shared="pixels", **options)
    assert found == 3


def test_what_segments_cannot_have():
    maps = [particles((6, 6), 60, seed=0), particles((6, 7), 60, seed=1)]
    given = [OneOfMaps(s.data, s.physical_model()) for s in maps]
    with pytest.raises(ValueError, match=r"Map 1 has the shape \(6, 7\)"):
        decompose_maps(given, 2, OPTIONS, "pixels")
    given = given[:1] * 2
    mask = np.arange(36) > 3
    with pytest.raises(ValueError, match="the masks of them differ"):
        decompose_maps([given[0], given[1]._replace(pixels=mask)], 2, OPTIONS, "pixels")
    with pytest.raises(ValueError, match="Nothing drifts"):
        decompose_maps(given, 2, OPTIONS, "pixels", drift=0.1)
    known = {0: {"spectrum": maps[0].data.sum(axis=(0, 1))}}
    with pytest.raises(ValueError, match="has a spectrum in each map"):
        decompose_maps(given, 2, replace(OPTIONS, known_phases=known), "pixels")
    empty = given[1]._replace(data=np.zeros_like(maps[0].data))
    with pytest.raises(ValueError, match="has no counts"):
        decompose_maps([given[0], empty], 2, OPTIONS, "pixels")
