"""Phases that no pixel shows without another one."""

from argparse import Namespace

import numpy as np
import pytest

from benchmarks.accuracy.inclusions import SETS, largest_angle, simulate
from benchmarks.accuracy.zoo import cases
from espm_hs import metrics, simulation
from espm_hs.decomposition import search
from espm_hs.decomposition.search import PhaseSearch
from espm_hs.decomposition.separation import find_inclusion, inclusions
from espm_hs.factorization import Counts, Penalties, Problem, factorize, uptake

# Columns: four elements of the sample, a background.
ELEMENTS = np.array([True] * 4 + [False])
HOST = np.array([0.4, 0.6, 0.0, 0.0, 0.2])
CORE = np.array([0.2, 0.0, 0.8, 0.0, 0.3])
FAR = np.array([0.0, 0.0, 0.0, 1.0, 0.1])
ALL = np.ones((3, 3), bool)


def covariance(size=0.005):
    return np.stack([np.eye(5) * size**2] * 3)


def find(W, taken=5.0, allowed=ALL, size=0.005):
    """Return what is found, and the pairs that were looked at."""
    asked = []

    def answer(pairs):
        asked.extend(pairs)
        return dict.fromkeys(pairs, taken)

    return find_inclusion(W, covariance(size), ELEMENTS, allowed, answer), asked


@pytest.fixture
def W():
    """Composition of a host, of a core with some of it, and of something else."""
    return np.stack([HOST, (CORE + HOST) / 2, FAR], axis=1)


def test_the_host_is_taken_out_as_far_as_elements_permit(W):
    found, asked = find(W)
    assert asked == [(1, 0)]
    assert (found.phase, found.other, found.columns.tolist()) == (1, 0, [1])
    assert found.amount == pytest.approx(0.5)
    assert found.sure
    assert not find(W, taken=3.0)[0].sure  # which single pixels may object to


def test_nothing_is_taken_out_without_a_reason(W):
    assert find(W, taken=2.0)[0] is None
    forbidden = ALL.copy()
    forbidden[1, 0] = False
    assert find(W, allowed=forbidden) == (None, [])
    assert find(W, size=0.5) == (None, [])
    W[:, 1] = 0.9 * CORE + 0.1 * HOST  # too little of it
    assert find(W) == (None, [])


def test_solid_solutions_are_left_alone():
    """Neither phases of the same elements, nor those of one lattice."""
    pair = np.zeros((3, 3), bool)
    pair[0, 1] = pair[1, 0] = True
    rich = np.array([0.3, 0.1, 0.0, 0.6, 0.2])
    poor = np.array([0.1, 0.3, 0.0, 0.6, 0.2])
    assert find(np.stack([rich, poor, FAR], axis=1), allowed=pair) == (None, [])
    # the first element takes the place of the second, the others stay as they are
    doped = np.array([0.2, 0.1, 0.3, 0.4, 0.2])
    pure = np.array([0.0, 0.3, 0.3, 0.4, 0.2])
    assert find(np.stack([doped, pure, FAR], axis=1), allowed=pair) == (None, [])
    doped = np.array([0.2, 0.1, 0.5, 0.2, 0.2])  # nor do these
    assert find(np.stack([doped, pure, FAR], axis=1), allowed=pair)[1] == [(0, 1)]


def fitted(seen_alone, seed=0):
    """Counts of a core in its host, or of both alone, and their fit."""
    rng = np.random.default_rng(seed)
    G = np.abs(rng.standard_normal((60, 4))) ** 3
    G /= G.sum(axis=0)
    H = np.zeros((300, 2))
    H[:200, 0] = 600.0
    H[150:, 1] = 600.0
    host = np.array([0.4, 0.6, 0.0, 0.0])
    core = np.array([0.2, 0.0, 0.8, 0.0])
    if seen_alone:
        core = (core + 0.4 * host) / 1.4
    else:
        H[150:, 0] = 600.0 * rng.uniform(0.3, 1.2, 150)
    X = rng.poisson(H @ (G @ np.stack([host, core], 1)).T)
    problem = Problem(60, 2, G=G, penalties=Penalties(1.0))
    found = factorize(Counts.from_array(X), problem, init="pure", max_iter=300)
    order = np.argsort(-found.W[1])  # the host has more of the second element
    return X, problem, found.W[:, order], found.H[:, order]


def test_few_counts_take_up_more_of_a_host():
    X, *fit = fitted(seen_alone=False)
    assert uptake(Counts.from_array(X), *fit, [(1, 0)])[1, 0] > 3


def test_few_counts_take_up_nothing_where_a_phase_is_alone():
    for seed in range(3):
        X, *fit = fitted(seen_alone=True, seed=seed)
        assert abs(uptake(Counts.from_array(X), *fit, [(1, 0)])[1, 0]) < 1.5


def test_uptake_needs_integers():
    X, *fit = fitted(seen_alone=False)
    assert uptake(Counts.from_array(0.5 * X), *fit, [(1, 0)]) == {(1, 0): 0.0}
    assert uptake(Counts.from_array(X), *fit, []) == {}


def phases(s, number, **options):
    """Return what is found in a map without smooth maps."""
    return s.decomposition(
        algorithm="espm",
        output_dimension=number,
        smoothness=0,
        print_info=False,
        return_info=True,
        **options,
    )


@pytest.mark.parametrize("dose", [40, 200])
def test_core_without_its_shell(dose):
    """Found together with it, by 15 degrees, if only F is asked."""
    s = simulation.core_shell((64, 64), counts_per_pixel=dose, seed=0)
    found = phases(s, 3)
    truth = s.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    assert angles.max() < 2
    oxygen = found.composition[found.elements.index("O"), order[1]]
    assert oxygen == 0


@pytest.mark.parametrize("names", SETS["inside"][::3])
def test_metals_in_an_oxide_are_found_without_it(names):
    """Nothing around says so, and what single pixels show would put it back."""
    s = simulate("inside", names, 250, 0)
    assert largest_angle(s) < 1.5
    assert any("taken out" in step for step in s.analysis_results().steps)


def test_a_phase_in_the_boundary_keeps_what_it_shares():
    """The glass has aluminium of its own, and is pure nowhere."""
    s = simulation.grain_boundary((64, 64), counts_per_pixel=60, seed=0)
    found = phases(s, 3)
    truth = s.ground_truth()
    order, angles = metrics.match_phases(found.spectra, truth.spectra)
    assert angles.max() < 5
    assert found.composition[found.elements.index("Al"), order[2]] > 0.03


def precipitates(rows=40, seed=0):
    """Return W and H of precipitates that take the place of their host."""
    share = np.clip(np.random.default_rng(seed).random(rows * rows) - 0.4, 0, None)
    host = np.array([0.98, 0.01, 0.01, 0.0, 0.2])
    W = np.stack([host, [0.0, 0.5, 0.5, 0.0, 0.3], FAR], axis=1)
    return W, 100 * np.stack([1 - share, share, np.zeros_like(share)], axis=1)


def shown(W, H, share=0.5):
    ranges = np.zeros((2, 3, 3))
    ranges[1, 1, 0] = share
    return inclusions(W, H, covariance(1e-4), ELEMENTS, ranges, np.ones(3, bool))


def test_precipitates_keep_what_all_pixels_show_of_their_host():
    W, H = precipitates()
    assert shown(W, H) == {(1, 0): 0.5}
    assert shown(W, H, share=0.1) == {}  # a matter of errors
    assert shown(W, H, share=0.3) == {}  # which would be taken out again as a remnant
    ranges = None  # the fit was interrupted
    known = W, H, covariance(), ELEMENTS, ranges, np.ones(3, bool)
    assert inclusions(*known) == {}


def test_what_is_shown_of_the_host_counts_in_the_place_it_takes():
    """Two thirds of a compound are its host: without these it takes half its place."""
    W, H = precipitates()
    H[:, 0] += 0.5 * H[:, 1]
    assert shown(W, H, share=0.67) == {(1, 0): 0.67}
    assert shown(W, H, share=0.3) == {}


def test_what_lacks_several_elements_of_its_host_has_none_of_it():
    W, H = precipitates()
    W[:, 0] = 0.5, 0.25, 0.0, 0.25, 0.2
    assert shown(W, H) == {}


def test_what_lies_on_a_host_does_not_take_its_place():
    W, H = precipitates()
    H[:, 0] = 100
    assert shown(W, H) == {}
    # nor if nearly all that pixels show there is the host
    assert shown(W, H, share=0.9) == {}


@pytest.mark.parametrize("end_members", ["auto", "outside"])
def test_a_precipitate_that_no_pixel_shows_alone(end_members):
    """Aluminium from none to what pixels show fits the counts; the truth is 52 at.%."""
    wanted = {"half": "training", "only": "age_hardened", "forward": "own"}
    given = Namespace(smoke=False, **wanted)
    s = next(cases(given)).signal
    found = phases(s, 2, end_members=end_members)
    place = found.elements.index("Al")
    rest = int(np.argmin(found.composition[place]))
    aluminium = 100 * found.composition[place, rest]
    if end_members == "outside":
        assert aluminium < 5
        assert found.steps == ()
    else:
        assert aluminium == pytest.approx(52, abs=10)
        assert "nowhere alone" in found.steps[0]
    low, high = 100 * found.ranges[:, place, rest]
    assert low < 5
    assert high > 50


@pytest.mark.parametrize("end_members", ["auto", "observed"])
def test_grains_inside_of_the_foil_have_none_of_their_matrix(end_members):
    """Silicon in aluminium, which lies over it in every pixel."""
    given = Namespace(smoke=False, half="fresh", only="cast_alloy", forward="own")
    found = phases(next(cases(given)).signal, 3, end_members=end_members)
    silicon = int(np.argmax(found.composition[found.elements.index("Si")]))
    place = found.elements.index("Al")
    aluminium = 100 * found.composition[place, silicon]
    told = any("lies in phase" in step for step in found.steps)
    if end_members == "observed":
        assert aluminium == pytest.approx(6, abs=3)
        assert not told
    else:
        assert aluminium < 1
        assert told
    low, high = 100 * found.ranges[:, place, silicon]
    assert low < 1
    assert high > 3


def test_what_the_counts_speak_against_is_left_in_a_grain(monkeypatch):
    """The matrix is taken out of a grain by a trial, as all other phases are."""
    s = next(
        cases(Namespace(smoke=False, half="fresh", only="cast_alloy", forward="own"))
    ).signal
    monkeypatch.setattr(search, "NATS_PER_NUMBER", -np.inf)
    # single pixels would tell of other phases by themselves
    found = phases(s, 3, end_members="outside", binning=4)
    assert found.steps == ()
    silicon = int(np.argmax(found.composition[found.elements.index("Si")]))
    aluminium = 100 * found.composition[found.elements.index("Al"), silicon]
    assert aluminium == pytest.approx(6, abs=3)


def many_counts(half, material):
    """Return the signal and the experiment of a map of the zoo of many counts."""
    given = Namespace(smoke=False, half=half, only=material, forward="own")
    _, case = cases(given)
    return case.signal, case.experiment


def percent(found, experiment, name):
    """Return at.% of the elements of a phase, as they are found."""
    order, _ = metrics.match_phases(found.spectra, experiment.spectra)
    place = [phase.name for phase in experiment.phases].index(name)
    composition = 100 * found.composition[:, order[place]]
    return dict(zip(found.elements, composition, strict=True))


def test_a_trace_of_the_matrix_tells_of_more_of_it():
    """A third of the boundary that is found is the grains on either side of it."""
    s, experiment = many_counts("fresh", "magnet")
    # which single pixels would show by themselves
    boundary = percent(phases(s, 3, binning=2), experiment, "boundary")
    assert boundary["Nd"] == pytest.approx(55, abs=5)
    assert boundary["Fe"] == pytest.approx(32, abs=5)
    assert boundary["Dy"] == 0


def test_what_two_phases_have_in_common_is_no_phase():
    """Oxygen, with silicon silica, with hafnium hafnia, is nowhere alone."""
    s, experiment = many_counts("training", "gate_stack")
    found = phases(s, 6)
    assert found.steps == ()
    assert percent(found, experiment, "silica")["O"] == pytest.approx(67, abs=5)
    assert percent(found, experiment, "hafnia")["O"] == pytest.approx(65, abs=5)


def test_silicon_is_no_film_under_its_carbide():
    """Spheres of silicon within a matrix of SiC, and fibres of it farther away."""
    s, experiment = many_counts("blind", "fibre_composite")
    found = phases(s, 4)
    assert found.steps == ()
    for name, carbon in ("matrix", 50), ("fibre", 49):
        assert percent(found, experiment, name)["C"] == pytest.approx(carbon, abs=2)


def test_elements_that_agree_by_nature_are_left_in_a_phase():
    """A gel has the Si, Al and Zr of the glass beside it, of which sodium is gone."""
    s, experiment = many_counts("later", "corroded_glass")
    found = phases(s, 3)
    assert found.steps == ()
    assert percent(found, experiment, "glass")["Si"] == pytest.approx(20, abs=2)


def test_a_host_without_its_lamellae_is_begun_with_as_its_pixels_show_it(monkeypatch):
    """Chalcopyrite, Cu 25, Fe 25, S 50, which is first found without its copper."""
    given = Namespace(smoke=False, half="blind", only="sulphide_ore", forward="all")
    case = [one for one in cases(given) if one.forward == "real sample"][1]

    def iron():
        return percent(phases(case.signal, 6), case.experiment, "chalcopyrite")["Fe"]

    # single pixels find it by themselves
    monkeypatch.setattr(PhaseSearch, "_of_single_pixels", lambda _, *found: found)
    assert iron() == pytest.approx(25, abs=2)
    with monkeypatch.context() as patched:
        patched.setattr(PhaseSearch, "_from_purest", lambda self, found: found)
        assert iron() > 35


def test_cores_under_shells_of_other_elements():
    given = Namespace(smoke=False, half="held_out", only="quantum_dots", forward="own")
    found = phases(next(cases(given)).signal, 3)
    core = int(np.argmax(found.composition[found.elements.index("Cd")]))
    shell = [found.elements.index(symbol) for symbol in ("Zn", "S")]
    assert found.composition[shell, core].sum() < 0.05


def test_no_phase_is_taken_out_of_another_if_it_should_not_be():
    s = simulation.core_shell((64, 64), counts_per_pixel=40, seed=0)
    found = {x: phases(s, 3, separation=x) for x in (True, False)}
    assert found[True].steps
    assert found[False].steps == ()
    # of the film, in what lies on it
    carbon = {x: np.sort(one.composition[0])[0] for x, one in found.items()}
    assert carbon[True] == 0
    assert carbon[False] > 0.02
    with pytest.raises(ValueError, match="`separation` must be True or False"):
        phases(s, 3, separation="no")
