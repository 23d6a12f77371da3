"""Support films: an even phase under everything else."""

import numpy as np
import pytest

from espm_hs import metrics
from espm_hs.decomposition.separation import find_films
from espm_hs.factorization import Grid
from espm_hs.simulation import core_shell

# Columns: C, Fe, O.
COLUMNS = {"C": 0, "Fe": 1, "O": 2}
GRID = Grid.from_shape((20, 20))


def on_film(share, seed=0):
    """Return W and H of a particle that took ``share`` of the film under it along."""
    rows, columns = np.indices((20, 20)) - 9.5
    particle = np.sqrt(np.maximum(36 - rows**2 - columns**2, 0)).ravel()
    noise = 0.02 * np.random.default_rng(seed).standard_normal(400)
    film = 10 - share * particle + noise
    W = np.array([[1.0, 0.5], [0.0, 0.2], [0.0, 0.3]])
    return W, np.stack([film, particle], axis=1)


def test_carbon_that_fills_the_holes_of_the_film_is_the_film():
    (found,) = find_films(*on_film(0.5), COLUMNS, GRID)
    assert (found.phase, found.other) == (1, 0)
    assert found.amount == pytest.approx(0.5)
    assert found.columns.tolist() == [0]


def test_a_carbide_inside_of_carbon_is_left_alone():
    """It takes the place of more carbon than it holds."""
    assert find_films(*on_film(1.2), COLUMNS, GRID) == []


def test_a_carbide_beside_carbon_is_left_alone():
    W, H = on_film(0.0)
    assert find_films(W, H, COLUMNS, GRID) == []


def test_no_film_without_carbon():
    W, H = on_film(0.5)
    assert find_films(W, H, {"Si": 0, "Fe": 1}, GRID) == []
    W[:, 0] = 0.9, 0.1, 0.0
    assert find_films(W, H, COLUMNS, GRID) == []


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
