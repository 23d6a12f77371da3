"""Every public call with any argument: a result, or an error that says what is needed.

Such an error was raised on purpose and changes nothing; results are finite.
"""

import inspect
import warnings

import numpy as np
import pytest
from conftest import make_map
from hypothesis import given, settings
from hypothesis import strategies as st
from test_any_call import failure, is_meant
from test_input import TEM, state

from espm_hs import EspmNMF, metrics, physics, simulation

QUIET = {"print_info": False, "show_progressbar": False}
# Method -> arguments that make it quick.
METHODS = {
    "set_analysis_parameters": {},
    "quantify": {},
    "bootstrap_quantification": {"n": 2, "show_progressbar": False},
    "print_quantification": {},
    "phase_shares": {},
    "phase_map": {},
    "compare_phase_numbers": {"numbers": (1, 2), "max_iter": 5},
    "rename_phases": {"names": {0: "a"}},
    "merge_phases": {"phases": [0, 1]},
    "reorder_phases": {"order": [1, 0]},
    "drop_phases": {"phases": [0]},
    "split_phase": {"region": np.eye(4, 3, dtype=bool)},
    "plot_phase_map": {},
    "atoms_per_formula_unit": {},
    "plot_elements": {"show_progressbar": False},
    "quantify_profile": {"line": ((0, 0), (3, 3)), "roi_fit": "phases"},
    "identify_phases": {},
    "estimate_areal_densities": {},
    "estimate_mass_thickness": {},
    "estimate_thickness": {"density": 3.0},
    "estimate_number_of_phases": {
        "numbers": (1, 2), "n_thinnings": 2, "n_init": 1, "show_progressbar": False
    },
    "estimate_binning": {
        "output_dimension": 2, "binnings": (1, 2), "n_thinnings": 2, "n_init": 1,
        "show_progressbar": False,
    },
    "refine_calibration": {"print_info": False},
    "suggest_elements": {"print_info": False},
    "calibrate_line_factors": {"standard": {"Fe_Ka": 1.3}, "print_info": False},
    "line_factors": {},
    "identify_elements": {"print_info": False},
    "mask_channels": {"plot": False},
    "physical_model": {},
    "get_decomposition_model": {},
    "plot_fit": {},
    "plot_composition": {},
    "plot_emission_lines": {},
    "plot_fit_of_region": {},
    "plot_composition_of_region": {},
}  # fmt: skip
# Arguments of the decomposition.
OPTIONS = (
    "output_dimension", "sparsity", "smoothness", "simplex", "known_phases",
    "fixed_composition", "solver", "binning", "init", "n_init", "max_iter", "tol",
    "random_state", "end_members", "separation", "local_absorption", "n_jobs",
    "navigation_mask", "signal_mask", "calibration",
)  # fmt: skip
FUNCTIONS = {
    "emission_lines": lambda x: physics.emission_lines(x, 200.0),
    "beam energy of emission_lines": lambda x: physics.emission_lines("Fe", x),
    "energy of ionisation": lambda x: physics.ionization_cross_section("Fe", "K", x),
    "subshell": lambda x: physics.ionization_cross_section("Fe", x, 200.0),
    "absorber": lambda x: physics.mass_absorption_coefficient(x, 5.0),
    "photon energy": lambda x: physics.mass_absorption_coefficient("Fe", x),
    "energy of a model": lambda x: physics.SpectrumModel(x, 200.0, ["Fe"]),
    "composition of a model": lambda x: physics.SpectrumModel(
        np.arange(0, 10, 0.02), 200.0, ["Fe"], composition=x
    ),
    "background of a model": lambda x: physics.SpectrumModel(
        np.arange(0, 10, 0.02), 200.0, ["Fe"], background=x
    ),
    "bends of a model": lambda x: physics.SpectrumModel(
        np.arange(0, 10, 0.02), 200.0, ["Fe"], background_bends=x
    ),
    "layers of a detector": lambda x: physics.Detector(layers=x),
    "grid of a detector": lambda x: physics.Detector(grid=x),
    "curve of a detector": lambda x: physics.Detector(curve=x),
    "resolution of a detector": lambda x: physics.Detector(resolution=x),
    "shift of a detector": lambda x: physics.Detector(low_energy_shift=x),
    "shape of a phantom": lambda x: simulation.particles(shape=x),
    "counts of a phantom": lambda x: simulation.particles(
        shape=(4, 3), counts_per_pixel=x
    ),
    "seed of a phantom": lambda x: simulation.particles(shape=(4, 3), seed=x),
    "effects of a phantom": lambda x: simulation.particles(shape=(4, 3), effects=x),
    "spectral_angles": lambda x: metrics.spectral_angles(x, np.ones((3, 2))),
    "map_errors": lambda x: metrics.map_errors(x, np.ones((3, 2))),
    "composition_errors": lambda x: metrics.composition_errors(x, np.ones((3, 2))),
    "G of the estimator": lambda x: EspmNMF(2, G=x).fit(np.eye(3)),
    "fixed of the estimator": lambda x: EspmNMF(2, fixed=x).fit(np.eye(3)),
    "loadings": lambda x: EspmNMF(2).fit(np.eye(3)).inverse_transform(x),
}  # fmt: skip
VALUES = (
    None, 0, -1, 2, 1.5, -0.5, 1e300, 1e-300, True, False,
    float("nan"), float("inf"), 1j, "", "x", "1", "Cu", "auto", b"Fe", len, object(),
    [], ["Cu"], ["Cu", "Cu"], [None], [1.0], [[1, 2]], [1.0, float("nan")], (0, 5),
    (10**9, 10**9), (2.0, 1.0), (1.0, 1.0), {1, 2}, {}, {"Fe": 1.0}, {"Fe": "x"},
    {1: 2}, {"Fe": None}, {"Fe": float("nan")}, {"Fe": -50}, {"O": 5},
    {"Fe_K": 1e300, "Fe_L": 1e-300}, {"low_energy_shift": float("nan")},
    {"low_energy_shift": 1e300}, {"crystal_thickness": 0}, {"layers": [("Pt", 1e4)]},
    {"transmission": 1e-300}, {"core": {"composition": {"Fe": 2.0}}},
    np.array([]), np.ones((2, 3)), np.full((3, 2), np.nan), np.float64(3),
    np.int64(1), np.ones(300), np.ones((3, 4), bool),
)  # fmt: skip


@pytest.fixture(scope="module")
def decomposed():
    s = make_map((4, 3), 200, size=300)
    s.metadata.set_item(f"{TEM}.beam_current", 0.5)
    s.set_analysis_parameters(solid_angle=0.7, live_time_of="map")
    decompose(s)
    return s


def decompose(s, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fit did not converge")
        usual = {"output_dimension": 2, "n_init": 1, "max_iter": 5}
        s.decomposition(algorithm="espm", **QUIET, **usual | options)


def arguments(method, s):
    """Names of the arguments of a method."""
    if method == "decomposition":
        return OPTIONS
    found = inspect.signature(getattr(s, method)).parameters
    left_out = {"show_progressbar", "plot", "print_info", "lazy_output", "add", "log"}
    return [name for name in found if name not in left_out]


def called(s, method, name, value):
    """Call a method with one argument, and what was set with it."""
    kind = inspect.signature(getattr(s, method)).parameters[name].kind
    if kind is inspect.Parameter.VAR_POSITIONAL:
        getattr(s, method)(value, **METHODS[method])
    elif kind is inspect.Parameter.VAR_KEYWORD:
        getattr(s, method)(**{"thickness": value, "density": 3.0, "take_off_angle": 20})
    else:
        getattr(s, method)(**METHODS[method] | {name: value})
    if method == "set_analysis_parameters":
        decompose(s)
        assert_finite(s)


def assert_finite(s):
    """Compositions are numbers, but of phases of background alone."""
    bare = s.analysis_results().atoms == 0
    percent = np.array([one.data for one in s.quantify()])
    assert np.isfinite(percent[:, ~bare]).all()


def check_method(decomposed, method, name, value):
    """A result, or an error that was meant; then all is as it was."""
    s = decomposed.deepcopy()
    before = state(s)
    if method == "decomposition":
        error = failure(s, lambda s: (decompose(s, **{name: value}), assert_finite(s)))
    else:
        error = failure(s, lambda s: called(s, method, name, value))
    if error is not None:
        assert is_meant(error), f"{method}({name}={value!r}): {error!r}"
        # `called` goes on with what this one wrote
        assert method == "set_analysis_parameters" or state(s) == before


def check_function(name, value):
    """A result without a warning of numpy, or an error that was meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            FUNCTIONS[name](value)
        except Exception as error:
            assert is_meant(error), f"{name}, {value!r}: {error!r}"  # noqa: PT017


any_value = st.sampled_from(range(len(VALUES))).map(VALUES.__getitem__)


@given(data=st.data(), value=any_value)
@settings(max_examples=150)
def test_any_argument_of_a_method(decomposed, data, value):
    method = data.draw(st.sampled_from([*METHODS, "decomposition"]))
    name = data.draw(st.sampled_from(arguments(method, decomposed)))
    check_method(decomposed, method, name, value)


@given(name=st.sampled_from(list(FUNCTIONS)), value=any_value)
@settings(max_examples=150)
def test_any_argument_of_a_function(name, value):
    check_function(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("method", [*METHODS, "decomposition"])
def test_all_arguments_of_a_method(decomposed, method):
    for name in arguments(method, decomposed):
        for value in VALUES:
            check_method(decomposed, method, name, value)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_arguments_of_a_function(name):
    for value in VALUES:
        check_function(name, value)


# Taken in silence before: other numbers than were asked for, or none.
REFUSED = [
    ("quantify", "oxygen", None),
    ("quantify", "oxygen", False),
    ("quantify", "oxygen", {"Fe": float("nan")}),
    ("quantify", "oxygen", {"Fe": -50}),
    ("quantify", "oxygen", {"O": 5}),
    ("quantify", "elements", 26),
    ("set_analysis_parameters", "detector", {"low_energy_shift": float("nan")}),
    ("set_analysis_parameters", "detector", {"low_energy_shift": 1e300}),
    ("set_analysis_parameters", "detector", {"crystal_thickness": 0}),
    ("set_analysis_parameters", "detector", {"layers": [("Pt", 1e4)]}),
    ("set_analysis_parameters", "line_factors", {"Fe_K": 1e300}),
    ("set_analysis_parameters", "density", 1e300),
    ("set_analysis_parameters", "stray_elements", b"Fe"),
    ("set_analysis_parameters", "stray_elements", {1: 2}),
    ("set_analysis_parameters", "extra_spectra", {"ice": -np.ones(300)}),
    ("get_decomposition_model", "components", 5),
    ("get_decomposition_model", "components", -3),
    ("get_decomposition_model", "components", True),
    ("get_decomposition_model", "components", [5]),
    ("plot_fit_of_region", "parts", "x"),
    ("mask_channels", "ranges", 2.0),
    ("mask_channels", "ranges", (2.6, 2.0)),
    ("decomposition", "navigation_mask", float("nan")),
    ("decomposition", "smoothness", b"Fe"),
    ("decomposition", "sparsity", 1e300),
    ("estimate_number_of_phases", "random_state", -1),
    ("bootstrap_quantification", "n", np.ones((2, 3))),
]


@pytest.mark.parametrize(("method", "name", "value"), REFUSED)
def test_refused(decomposed, method, name, value):
    s = decomposed.deepcopy()
    if method == "decomposition":
        error = failure(s, lambda s: decompose(s, **{name: value}))
    else:
        error = failure(s, lambda s: called(s, method, name, value))
    assert error is not None
    assert is_meant(error), repr(error)


def test_components_of_any_integer_type(decomposed):
    one = decomposed.get_decomposition_model(np.int64(1))
    np.testing.assert_array_equal(
        one.data, decomposed.get_decomposition_model([0]).data
    )
