"""Phases that were found together with what lies above or below them."""

import numpy as np
import pytest

from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.separation import (
    coatings,
    find_inclusion,
    find_overlap,
    is_trace,
    lacks_several,
    remnants,
    separate,
)
from espm_hs.decomposition.surroundings import accompanying, hosts_of, surroundings
from espm_hs.factorization import Grid

# Columns: six elements, a stray element, a background.
ELEMENTS = np.array([True] * 6 + [False] * 2)
HOST = np.array([0.3, 0.2, 0.1, 0.4, 0.0, 0.0, 0.2, 0.5])
GUEST = np.array([0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.1, 0.7])
THIRD = np.array([0.0, 0.0, 0.3, 0.0, 0.0, 0.7, 0.3, 0.2])


def errors(size=0.001):
    return np.stack([np.eye(8) * size**2] * 3)


def noisy(W, seed=0, size=0.0005):
    return np.abs(W + size * np.random.default_rng(seed).standard_normal(W.shape))


def test_the_host_is_found_in_the_guest():
    W = noisy(np.stack([HOST, (GUEST + 0.8 * HOST) / 1.8, THIRD], axis=1))
    found = find_overlap(W, errors(), ELEMENTS)
    assert (found.phase, found.other) == (1, 0)
    assert found.columns.tolist() == [1, 2, 3]
    assert found.amount == pytest.approx(0.8 / 1.8, rel=0.03)
    assert found.chance < 0.001


@pytest.mark.parametrize("seed", range(20))
def test_phases_of_their_own_are_left_alone(seed):
    """Elements in common are not enough: their amounts would have to agree."""
    W = np.random.default_rng(seed).dirichlet(np.ones(8), 3).T
    assert find_overlap(W, errors(), ELEMENTS) is None


def test_what_is_not_known_well_may_be_chance():
    W = np.stack([HOST, (GUEST + 0.8 * HOST) / 1.8, THIRD], axis=1)
    assert find_overlap(W, errors(0.05), ELEMENTS) is None
    assert find_overlap(W, np.full((3, 8, 8), np.nan), ELEMENTS) is None


def test_a_host_lies_over_other_phases_too():
    """One element tells nothing, unless the other phase is known to be a host."""
    third = (THIRD + 0.5 * HOST) / 1.5  # a third of element 2 is its own
    W = np.stack([HOST, GUEST, third], axis=1)
    W[1, 2] = W[3, 2] * HOST[1] / HOST[3] * 1.3
    W[0, 2] *= 1.5
    assert find_overlap(W, errors(), ELEMENTS) is None
    over = np.zeros((3, 3), bool)
    assert find_overlap(W, errors(), ELEMENTS, over) is None
    over[2, 0] = True
    found = find_overlap(W, errors(), ELEMENTS, over)
    assert (found.phase, found.other, found.columns.tolist()) == (2, 0, [3])


def test_all_elements_of_a_phase_prove_more_than_some():
    """Two elements are few, but all that the phase has: it is not half in the other."""
    pair = np.array([0.6, 0.4, 0.0, 0.0, 0.0, 0.0, 0.2, 0.5])
    W = np.stack([pair, (THIRD + 0.5 * pair) / 1.5, GUEST], axis=1)
    found = find_overlap(W, errors(0.004), ELEMENTS)
    assert (found.phase, found.other, found.columns.tolist()) == (1, 0, [0, 1])
    assert 0.001 < found.chance < 0.1
    W[1, 1] *= 1.3  # one of them is in another proportion
    assert find_overlap(W, errors(0.004), ELEMENTS) is None


def test_elements_that_agree_by_chance_do_not_say_that_nearly_all_is_another_phase():
    """What would be left is so little that two elements are not enough."""
    pair = np.array([0.6, 0.4, 0.0, 0.0, 0.0, 0.0, 0.2, 0.5])

    def found(share, error, films=None):
        W = np.stack([pair, share * pair + (1 - share) * THIRD, GUEST], axis=1)
        return find_overlap(W, errors(error), ELEMENTS, films=films)

    assert found(0.7, 0.015)
    assert found(0.8, 0.004)  # they agree so well
    assert not found(0.8, 0.015)
    assert found(0.8, 0.015, np.array([True, False, False]))  # a film is everywhere


def test_what_lacks_several_elements_of_another_phase_has_none_of_it():
    W, shares = np.stack([HOST, GUEST, THIRD], axis=1), np.array([0.6, 0.4, 0.0])
    assert lacks_several(W, errors(), ELEMENTS, 1, shares)
    # of columns that are no elements, and where errors are large, nothing follows
    assert not lacks_several(W, errors(0.05), ELEMENTS, 1, shares)
    assert not lacks_several(W, np.full((3, 8, 8), np.nan), ELEMENTS, 1, shares)
    assert not lacks_several(W, errors(), ~ELEMENTS, 1, shares)
    # nor of traces of another phase, nor where there is none
    assert not lacks_several(W, errors(), ELEMENTS, 1, np.array([0.0, 0.96, 0.04]))
    assert not lacks_several(W, errors(), ELEMENTS, 1, np.array([0.0, 1.0, 0.0]))


def test_noise_leads_away_from_two_neighbours_at_once():
    """Elements of both are gone then, which tells of none of them."""
    host = np.array([0.2, 0.0, 0.0, 0.0, 0.5, 0.3, 0.0, 0.0])
    W = np.stack([HOST, GUEST, host], axis=1)
    assert not lacks_several(W, errors(), ELEMENTS, 1, np.array([0.45, 0.05, 0.5]))
    assert lacks_several(W, errors(), ELEMENTS, 1, np.array([0.9, 0.05, 0.05]))


@pytest.mark.parametrize("gone", range(1, 4))
def test_a_spectrum_may_go_beyond_pixels_until_one_element_is_gone(gone):
    phase = 0.5 * GUEST + 0.5 * HOST
    phase[gone] = 0.0
    W, shares = np.stack([HOST, phase, THIRD], axis=1), np.array([0.6, 0.4, 0.0])
    assert not lacks_several(W, errors(), ELEMENTS, 1, shares)


def test_separated_phases_make_the_same_counts():
    W = np.stack([HOST, (GUEST + 0.8 * HOST) / 1.8, THIRD], axis=1)
    H = np.random.default_rng(0).random((30, 3))
    before = W.copy(), H.copy()
    found = find_overlap(W, errors(), ELEMENTS)
    apart, maps = separate(W, H, found, ELEMENTS)
    assert np.allclose(maps @ apart.T, H @ W.T, atol=1e-12)
    assert np.allclose(apart[:, 1], GUEST, atol=1e-12)
    assert np.array_equal(W, before[0])
    assert np.array_equal(H, before[1])
    assert find_overlap(apart, errors(), ELEMENTS) is None


def test_pairs_that_are_known_to_be_apart():
    W = noisy(np.stack([HOST, (GUEST + 0.8 * HOST) / 1.8, THIRD], axis=1))
    apart = np.ones((3, 3), bool)
    apart[1, 0] = False
    assert find_overlap(W, errors(), ELEMENTS, allowed=apart) is None
    assert find_overlap(W, errors(), ELEMENTS, allowed=~apart).other == 0


def test_which_phases_may_have_been_found_together():
    known = Knowledge.nothing(4, 8)
    known.fixed[:6, 0] = [0.3, 0.7, 0, 0, 0, 0]  # all of it
    known.fixed[:2, 1] = [0.3, 0.0]  # some of it
    known.ties[2, :6, :6] = 0.0
    known.ties[2, :6, 0] = 1.0  # all of it again
    assert known.apart(ELEMENTS).any(axis=1).tolist() == [False, True, False, True]
    support = np.ones((5, 4), bool)
    support[:2, 1] = support[:3, 2] = False
    known = Knowledge(known.names, known.fixed, known.ties, support)
    assert known.apart(ELEMENTS)[1].tolist() == [True, True, False, True]
    assert known.apart(ELEMENTS)[3].tolist() == [True, False, False, True]


def test_what_accompanies_a_phase():
    """Phase 1 lies in 0 everywhere; grains of 2 meet it at the rim alone."""
    H = np.zeros((100, 3))
    H[:, 0] = 1.0
    H[:30, 1] = 1.0
    H[25:, 2] = 1.0
    only = np.eye(3, dtype=bool)
    assert accompanying(H, only[1]) == {0}
    assert accompanying(H, only[2]) == {0}
    assert accompanying(H, only[0]) == set()
    assert accompanying(H, np.zeros(3, bool)) == set()


def test_a_known_sphere_shows_that_its_matrix_is_a_host():
    """The other sphere, which is not known, is taken out of the matrix then."""
    from espm_hs import metrics
    from espm_hs.simulation import mantle

    s = mantle((64, 64), counts_per_pixel=60, seed=0)
    truth = s.ground_truth()
    sphere = dict(zip(truth.elements, truth.composition[:, 1], strict=True))
    s.decomposition(
        algorithm="espm",
        output_dimension=3,
        known_phases={"sphere": {"composition": sphere}},
        smoothness=0,
        print_info=False,
    )
    order, angles = metrics.match_phases(s.learning_results.factors, truth.spectra)
    assert order[1] == 0
    assert angles.max() < 8


def test_spheres_are_separated_from_their_matrix():
    """The matrix lies over and under both spheres in every pixel."""
    from espm_hs import metrics
    from espm_hs.simulation import DATASETS

    s = DATASETS["mantle"](counts_per_pixel=18, seed=0)
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    truth = s.ground_truth()
    _, angles = metrics.match_phases(s.learning_results.factors, truth.spectra)
    assert angles[0] < 1
    assert angles.max() < 8
    assert s.analysis_results().W.shape[1] == 3


# -- what is left of a matrix in what lies in it ---------------------------------------

SHAPE, FREE = (12, 12), np.ones(3, bool)
GRID = Grid.from_shape(SHAPE)


def maps(shift=0):
    """Counts of a matrix, of a grain in it, and of a layer along an edge."""
    H = np.zeros((*SHAPE, 3))
    H[..., 0] = 100.0
    H[8:, :, :] = [0.0, 0.0, 100.0]
    H[2:6, 3 + shift : 8 + shift] = [0.0, 100.0, 0.0]
    return H.reshape(-1, 3)


def with_some(share, matrix, grain=THIRD):
    """Compositions of which the grain has a share of the matrix; fractions of 1."""
    parts = [x / x[ELEMENTS].sum() for x in (matrix, grain, GUEST)]
    parts[1] = (1 - share) * parts[1] + share * parts[0]
    return np.stack(parts, axis=1)


NICKEL = np.array([0.0, 0.0, 0.0, 0.95, 0.0, 0.05, 0.2, 0.5])


@pytest.mark.parametrize("share", [0.07, 0.25])
def test_what_is_left_of_a_matrix_is_found_in_a_grain(share):
    W = with_some(share, NICKEL)
    (found,) = remnants(W, maps(), errors(), ELEMENTS, GRID, FREE)
    assert (found.phase, found.other) == (1, 0)
    assert found.amount == pytest.approx(share, rel=1e-6)


def test_what_may_be_of_the_grain_itself_stays():
    def found(share=0.25, matrix=NICKEL, H=None, free=FREE, grain=THIRD):
        W, H = with_some(share, matrix, grain), maps() if H is None else H
        return remnants(W, H, errors(), ELEMENTS, GRID, free)

    assert found()
    assert not found(share=0.35)  # most likely an element of both
    assert not found(free=np.array([True, False, True]))
    beside = maps()
    beside[:, [1, 2]] = beside[:, [2, 1]]  # a layer, of which one side shows a matrix
    assert not found(H=beside)
    # a series, whose members have a little of what the matrix has little of
    series = np.array([0.0, 0.0, 0.6, 0.1, 0.0, 0.3, 0.2, 0.5])
    assert not found(matrix=series)
    assert found(matrix=series, grain=GUEST)


def test_of_a_matrix_that_is_not_all_around_little_is_left():
    """A grain that lies beside it may have an element of it; not so one in it."""
    beside = maps().reshape(*SHAPE, 3)
    beside[3:5, 8:11] = beside[2, 3:8] = [0.0, 0.0, 100.0]

    def found(share, grain=THIRD):
        W = with_some(share, NICKEL, grain)
        return remnants(W, beside.reshape(-1, 3), errors(), ELEMENTS, GRID, FREE)

    around = surroundings(beside.reshape(-1, 3), GRID)
    assert 0.5 < around[1, 0] < 0.6
    assert found(0.1)
    assert not found(0.2)
    alone = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.3, 0.2])
    assert found(0.2, alone)  # what is left is an element


def test_a_trace_of_what_a_matrix_has_little_of_tells_of_more_of_the_matrix():
    """The grain has most elements of the matrix itself, and none of the last."""
    matrix = np.array([0.6, 0.0, 0.0, 0.35, 0.0, 0.05, 0.2, 0.5])
    grain = np.array([0.4, 0.4, 0.0, 0.2, 0.0, 0.0, 0.1, 0.5])

    def found(share, grain=grain):
        W = with_some(share, matrix, grain)
        return W, remnants(W, maps(), errors(0.001), ELEMENTS, GRID, FREE)

    W, (one,) = found(0.45)
    assert one.amount == pytest.approx(0.45, rel=1e-3)
    assert one.columns.tolist() == [5]
    assert is_trace(W, one)
    assert not found(0.65)[1]  # more than half of it is the matrix: what is left?
    W, (one,) = found(0.2)
    assert one.amount == pytest.approx(0.2, rel=1e-3)


def test_several_elements_that_agree_tell_of_more_of_a_matrix():
    """Two of the matrix alone, which chance would hardly make agree, and not one."""
    matrix = np.array([0.0, 0.4, 0.0, 0.3, 0.0, 0.3, 0.2, 0.5])
    W = with_some(0.5, matrix)  # which has two elements that the grain has not
    (one,) = remnants(W, maps(), errors(0.001), ELEMENTS, GRID, FREE)
    assert one.amount == pytest.approx(0.5, rel=1e-3)
    assert one.columns.tolist() == [1, 3]
    W[3, 1] *= 1.3  # it has some of the second one itself
    assert not remnants(W, maps(), errors(0.001), ELEMENTS, GRID, FREE)
    # what would be most of the phase is the phase
    W = with_some(0.7, matrix)
    assert not remnants(W, maps(), errors(0.001), ELEMENTS, GRID, FREE)


# -- what lies between two others ------------------------------------------------------


def test_what_lies_between_two_phases_is_in_neither():
    """A seam has as much to do with one side as with the other, a grain with one."""

    W = np.stack([HOST, (GUEST + HOST) / 2, THIRD], axis=1)

    def found(H, taken=3.0):
        return find_inclusion(
            W,
            errors(),
            ELEMENTS,
            np.ones((3, 3), bool),
            lambda pairs: dict.fromkeys(pairs, taken),
            lambda held: hosts_of(H, H, GRID, held),
        )

    seam = np.zeros((*SHAPE, 3))
    seam[:5, :, 0] = seam[5:7, :, 1] = seam[7:, :, 2] = 100.0
    assert found(maps()).other == 0
    assert found(seam.reshape(-1, 3)) is None
    # the counts may be so sure that places are not asked
    assert found(seam.reshape(-1, 3), taken=5.0).other == 0
    # a film is everywhere, and has holes where the other phase is found with it
    seam[:] = [100.0, 0.0, 0.0]
    seam[:6, :6] = [50.0, 100.0, 0.0]
    seam[6:, :, 2] = 300.0
    assert found(seam.reshape(-1, 3)).other == 0


def test_what_lies_on_another_phase_has_as_much_of_it_as_that_has_holes():
    """Titania on a sheet of an oxyfluoride, which has all of its elements."""
    sheet = np.array([0.0, 0.0, 0.5, 0.0, 0.3, 0.2, 0.2, 0.5])
    W = with_some(0.3, sheet, np.array([0.0, 0.0, 0.6, 0.0, 0.4, 0.0, 0.2, 0.5]))

    def found(hole):
        H = maps()
        H[:, 0] = np.where(H[:, 2] > 0, 0.0, 100.0 - hole * H[:, 1])
        return remnants(W, H, errors(), ELEMENTS, GRID, FREE)

    (one,) = found(0.3)
    assert (one.phase, one.other) == (1, 0)
    assert one.amount == pytest.approx(0.3, rel=1e-6)
    assert not found(1.0)  # it takes the place of the sheet: members of a series


# -- coatings --------------------------------------------------------------------------

WIDE = Grid.from_shape((24, 24))
ALLOY = np.array([0.0, 0.3, 0.0, 0.0, 0.5, 0.2, 0.2, 0.5])
OXIDE = np.array([0.0, 0.0, 0.4, 0.6, 0.0, 0.0, 0.2, 0.5])
FILM = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.5])


def coated(share=0.3, shell=OXIDE, core=(ALLOY + OXIDE) / 2):
    """A core that has a share of its shell, the shell, and a film; their maps."""
    y, x = np.indices((24, 24)) - 11.5
    radius = np.hypot(y, x)
    H = np.full((24, 24, 3), 30.0)
    H[..., 0] = 12 * np.sqrt(np.maximum(1 - (radius / 8) ** 2, 0.0))
    H[..., 1] = np.where((radius > 7) & (radius < 9.5), 20.0, 0.0)
    W = np.stack([share * shell + (1 - share) * core, shell, FILM], axis=1)
    return W, H.reshape(-1, 3)


def of_coating(W, H, grid=WIDE, free=FREE):
    return coatings(W, H, errors(), ELEMENTS, grid, free)


def test_a_coating_on_all_sides_lies_over_the_core():
    W, H = coated(core=ALLOY)
    (found,) = of_coating(W, H)
    assert (found.phase, found.other) == (0, 1)
    assert found.amount == pytest.approx(0.3, rel=1e-6)
    apart, _ = separate(W, H, found, ELEMENTS)
    np.testing.assert_allclose(apart[:6, 0], ALLOY[:6], atol=1e-9)
    assert not of_coating(W, H, free=np.array([False, True, True]))
    assert not of_coating(W, H, Grid.unconnected(len(H)))


def test_a_shell_may_be_the_same_compound_of_another_metal():
    """It lies over the core however alike the two are: NaYF4 in NaGdF4."""
    core, shell = np.array(
        [
            [0.0, 0.2, 0.0, 0.6, 0.2, 0.0, 0.2, 0.5],
            [0.0, 0.0, 0.2, 0.6, 0.2, 0.0, 0.2, 0.5],
        ]
    )
    (found,) = of_coating(*coated(shell=shell, core=core))
    assert (found.phase, found.other) == (0, 1)
    assert found.amount == pytest.approx(0.3, rel=1e-6)


def layered(angle, core=12.0):
    """A layer on one side of a wide phase, with nothing above it."""
    y, x = np.indices((24, 24)) - 11.5
    depth = y * np.cos(angle) + x * np.sin(angle)
    H = np.zeros((24, 24, 3))
    H[..., 0] = np.where(depth > -2, core, 0.0)
    H[..., 1] = np.where((depth <= -2) & (depth > -5), 20.0, 0.0)
    return H.reshape(-1, 3)


def test_what_does_not_enclose_a_phase_is_no_coating():
    W, H = coated(core=ALLOY)
    assert not of_coating(*coated(share=0.65, core=ALLOY))  # most of it is the shell
    skin = np.array([0.0, 0.95, 0.05, 0.0, 0.0, 0.0, 0.2, 0.5])
    assert not of_coating(*coated(shell=skin, core=ALLOY))  # an alloy
    series = np.array([0.0, 0.0, 0.7, 0.3, 0.0, 0.0, 0.2, 0.5])
    assert not of_coating(*coated(shell=OXIDE, core=series))  # less of one metal
    for angle in 0.0, 0.3, np.pi / 4:
        assert not of_coating(W, layered(angle))  # on one side
    line = H.reshape(24, 24, 3)[12, 12:]
    assert not of_coating(W, line, Grid.from_shape((12,)))  # on one end
    layers = np.zeros((24, 24, 3))
    layers[4:6, :, 1] = layers[6:18, :, 0] = layers[18:20, :, 1] = 20.0
    assert not of_coating(W, layers.reshape(-1, 3))  # above and below
    wide = H.copy()
    wide[H[:, 0] == 0, 1] = 2.0 + np.sin(np.arange(np.sum(H[:, 0] == 0)))
    assert not of_coating(W, wide)  # around a single particle, in all of the map
    some = H.reshape(24, 24, 3).copy()
    some[:, 5:, 1] = 0.0
    assert not of_coating(W, some.reshape(-1, 3))  # in some places of the edge


def test_a_known_matrix_is_not_nothing():
    """A rim in a matrix may be a reaction layer, whatever is known of the matrix."""
    W, H = coated(core=ALLOY)
    H = H.reshape(24, 24, 3).copy()
    H[..., 2] = np.where(H[..., :2].any(axis=-1), 0.0, 30.0)
    for known in FREE, np.array([True, True, False]):
        assert not of_coating(W, H.reshape(-1, 3), free=known)
