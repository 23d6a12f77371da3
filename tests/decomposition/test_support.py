"""Support films: an even phase under everything else."""

import numpy as np
import pytest

from espm_hs import metrics
from espm_hs.decomposition.separation import find_films
from espm_hs.decomposition.surroundings import (
    from_place_to_place,
    missing_atoms,
    thicker_under,
)
from espm_hs.factorization import Grid
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase, core_shell, record

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


# -- what lies on what lies on a film --------------------------------------------------


def heap(own=0.0, seed=0):
    """Film, a sheet that shows ``own`` of it for each atom too much, and clusters."""
    rng = np.random.default_rng(seed)
    sheet = np.zeros((20, 20))
    sheet[4:16, 4:16], sheet[8:13, 6:14] = 8.0, 16.0
    clusters = np.where((rng.random((20, 20)) < 0.2) & (sheet > 0), 1.0, 0.0)
    film = 10 + own * sheet + 0.1 * rng.standard_normal((20, 20))
    return np.stack([film, sheet, clusters], axis=-1).reshape(-1, 3)


def test_what_is_missing_is_told_by_all_that_lies_there():
    """Least squares by hand, of each phase on all others."""
    H = heap(own=-0.4)
    missing, errors = missing_atoms(H)
    for phase in range(3):
        others = [one for one in range(3) if one != phase]
        design = np.column_stack([np.ones(len(H)), H[:, others]])
        fit, (rest,), *_ = np.linalg.lstsq(design, H[:, phase])
        np.testing.assert_allclose(missing[phase, others], -fit[1:], rtol=1e-5)
        known = np.linalg.inv(design.T @ design).diagonal()[1:] * rest / len(H)
        np.testing.assert_allclose(errors[phase, others], np.sqrt(known), rtol=1e-5)
    assert missing[0, 1] == pytest.approx(0.4, abs=0.01)
    alone = np.column_stack([H[:, 0], np.zeros(len(H))])
    assert missing_atoms(alone)[0][0, 1] == 0  # a phase that is nowhere
    steps = from_place_to_place(H, GRID)
    assert len(steps) == 2 * 19 * 20  # each pair of neighbours once
    assert missing_atoms(steps)[0][0, 1] == pytest.approx(0.4, abs=0.02)


def test_clusters_on_a_sheet_do_not_take_the_place_of_the_film_under_it():
    """They are where the sheet is, which has the film in it: as a pair they would."""
    H = heap(own=-0.25)
    alone, _ = missing_atoms(H[:, [0, 2]])
    assert alone[0, 1] > 1  # atoms of film that each of theirs seems to displace
    W = np.array([[1.0, 0.25, 0.0], [0.0, 0.75, 0.0], [0.0, 0.0, 1.0]])
    covariance, allowed = (
        np.stack([np.diag(np.full(3, 1e-6))] * 3),
        np.ones((3, 3), bool),
    )
    (found,) = find_films(W, H, covariance, ELEMENTS, GRID, allowed)
    assert (found.phase, found.other) == (1, 0)
    assert found.amount == pytest.approx(0.25)


def test_a_film_is_no_thicker_under_what_lies_on_it():
    more, error = thicker_under(heap(own=0.3), 0, 1, GRID)
    assert more == pytest.approx(0.3, abs=4 * error)
    assert more > 10 * error
    more, error = thicker_under(heap(), 0, 1, GRID)
    assert abs(more) < 4 * error


def test_a_film_that_is_thicker_somewhere_by_itself_is_not_told_by_what_lies_there():
    """It rises to where the sheet is, and not at the edges of that."""
    H = heap().reshape(20, 20, 3)
    H[..., 0] += 6 * np.exp(-(((np.indices((20, 20)) - 9.5) / 7) ** 2).sum(axis=0))
    H = H.reshape(-1, 3)
    missing, errors = missing_atoms(H)
    assert -missing[0, 1] > 3 * errors[0, 1]
    assert thicker_under(H, 0, 1, GRID)[0] == 0


CARBIDE = {"C": 27, "Ti": 40, "O": 19, "F": 14}


def sheets_on_film():
    """Sheets of a carbide with titania on them, on a carbon film; 40 x 40 pixels."""
    sheets, titania = np.zeros((2, 40, 40))
    sheets[4:26, 6:24] += 8
    sheets[14:36, 14:36] += 8
    for y, x in ((8, 10), (18, 18), (24, 28), (30, 20), (20, 30), (12, 20)):
        titania[y : y + 4, x : x + 4] = 12
    phases = [
        Phase("film", {"C": 97, "O": 3}, 1.9, 0.2),
        Phase("carbide", CARBIDE, 3.8, 0.08),
        Phase("titania", {"Ti": 33.3, "O": 66.7}, 3.9, 0.07),
    ]
    maps = np.stack((np.full((40, 40), 12.0), sheets, titania), axis=-1)
    elements = ["C", "F", "O", "Ti"]
    model = SpectrumModel(
        0.01 * np.arange(1024),
        200.0,
        elements,
        take_off_angle=22.0,
        thickness=30.0,
        density=3.0,
    )
    return record(Experiment(model, phases, maps, 60), 1)


def test_a_carbide_keeps_its_carbon_on_a_film_of_carbon():
    """And titania on it has none of the carbide, as far as that has holes there."""
    s = sheets_on_film()
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    found, truth = s.analysis_results(), s.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    assert angles.max() < 4
    percent = {q.metadata.Sample.elements[0]: q.data[order] for q in s.quantify()}
    assert percent["C"][1] == pytest.approx(CARBIDE["C"], abs=3)
    assert percent["C"][2] == percent["F"][2] == 0
    told = f"would be thicker under phase {order[1]}"
    assert any(told in step for step in found.steps)
