"""Support films: an even phase under everything else."""

import numpy as np
import pytest

from espm_hs import metrics
from espm_hs.decomposition.separation import find_films
from espm_hs.factorization import Grid
from espm_hs.simulation import core_shell

# Columns: C, Fe, O.
ELEMENTS = np.ones(3, bool)
GRID = Grid.from_shape((20, 20))


def on_film(share, seed=0):
    """Return W and H of a particle that took ``share`` of the film under it along."""
    rows, columns = np.indices((20, 20)) - 9.5
    particle = np.sqrt(np.maximum(36 - rows**2 - columns**2, 0)).ravel()
    noise = 0.02 * np.random.default_rng(seed).standard_normal(400)
    film = 10 - share * particle + noise
    W = np.array([[1.0, 0.5], [0.0, 0.2], [0.0, 0.3]])
    return W, np.stack([film, particle], axis=1)


def films(W, H):
    covariance = np.stack([np.diag(np.full(3, 1e-6))] * 2)
    return find_films(W, H, covariance, ELEMENTS, GRID, np.ones((2, 2), bool))


def test_what_fills_the_holes_of_a_film_is_the_film():
    (found,) = films(*on_film(0.5))
    assert (found.phase, found.other) == (1, 0)
    assert found.amount == pytest.approx(0.5)
    assert found.columns.tolist() == [0]


def test_a_film_may_have_several_elements():
    W, H = on_film(0.5)
    W[:, 0] = 0.7, 0.0, 0.3
    W[:, 1] = 0.35, 0.5, 0.15
    (found,) = films(W, H)
    assert found.amount == pytest.approx(0.5)
    assert found.columns.tolist() == [0, 2]


def test_what_takes_the_place_of_its_host_is_left_alone():
    """A carbide in carbon displaces more of it than it holds."""
    assert films(*on_film(1.2)) == []


def test_what_lies_beside_is_left_alone():
    assert films(*on_film(0.0)) == []


def test_nothing_takes_the_place_of_a_film():
    """Aluminium is a matrix and no film: silicon has its place elsewhere."""
    W, H = on_film(0.5)
    assert len(films(W, H)) == 1
    silicon = np.zeros((20, 20))
    silicon[:4, :4] = 5.0
    silicon = silicon.ravel()
    H = np.stack([H[:, 0] - silicon, H[:, 1], silicon], axis=1)
    W = np.vstack([np.column_stack([W, np.zeros(3)]), [0.0, 0.0, 1.0]])
    covariance = np.stack([np.diag(np.full(4, 1e-6))] * 3)
    elements, allowed = np.ones(4, bool), np.ones((3, 3), bool)
    assert find_films(W, H, covariance, elements, GRID, allowed) == []


def test_what_is_nearly_all_film_lies_on_it():
    """Its holes are no larger than its elements say, within noise."""
    W, H = on_film(0.5)
    rest = np.zeros((20, 20))
    rest[:4, :4] = 5.0
    rest = rest.ravel()
    H = np.stack([H[:, 0] - 1.1 * rest, H[:, 1], rest], axis=1)
    W = np.column_stack([W, [0.93, 0.07, 0.0]])
    covariance = np.stack([np.diag(np.full(3, 1e-6))] * 3)
    allowed = np.ones((3, 3), bool)
    found = find_films(W, H, covariance, ELEMENTS, GRID, allowed)
    assert (1, 0) in {(one.phase, one.other) for one in found}


def test_a_film_is_everywhere():
    W, H = on_film(0.5)
    H[:200] = 0.0, 5.0
    assert films(W, H) == []


def test_what_is_missing_from_a_part_of_the_map_is_no_film():
    """Silicon in a layer, of which SiC in the next one has a share."""
    W, H = on_film(0.5)
    assert films(W, H)
    H[:40] = 0.0, 1e-9  # a tenth of the map, which is even for the rest of it
    assert films(W, H) == []


def test_most_of_a_film_must_say_so():
    """Ferropericlase has iron as bridgmanite has, and magnesium besides."""
    W, H = on_film(0.5)
    W[:, 0] = 0.2, 0.0, 0.8
    W[:, 1] = 0.1, 0.0, 0.9
    assert films(W, H) == []


def test_particles_are_freed_from_the_film():
    s = core_shell(counts_per_pixel=40, seed=1)
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    truth = s.ground_truth()
    order, angles = metrics.match_phases(s.analysis_results().spectra, truth.spectra)
    assert angles[0] < 0.5  # film
    assert angles[2] < 1.0  # shell
    carbon = s.quantify()[0]
    assert carbon.metadata.Sample.elements == ["C"]
    assert carbon.data[order[1:]].max() == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_a_core_of_known_composition_gives_the_shell(seed):
    s = core_shell(counts_per_pixel=40, seed=seed)
    s.decomposition(
        algorithm="espm",
        output_dimension=3,
        fixed_composition={0: {"Fe": 0.16, "Pt": 0.84}},
        print_info=False,
    )
    truth = s.ground_truth()
    order, _ = metrics.match_phases(s.analysis_results().spectra, truth.spectra)
    percent = {q.metadata.Sample.elements[0]: q.data[order[2]] for q in s.quantify()}
    share = percent["Fe"] / (percent["Fe"] + percent["O"])
    assert share == pytest.approx(3 / 7, abs=0.02)
    assert percent["C"] < 1
