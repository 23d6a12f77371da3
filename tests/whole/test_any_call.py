"""Every public call with any metadata: a result, or an error that changes nothing.

Metadata come from files of others, so any item can be anything. Nodes that eXSpy needs
to make a signal at all, like Sample, are trees.
"""

import contextlib
import os
import traceback
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import make_map
from hypothesis import given, settings
from hypothesis import strategies as st
from test_input import EDS, TEM, state

OPTIONS = {"print_info": False, "show_progressbar": False}
CALLS = {
    "decompose": lambda s: s.decomposition(
        algorithm="espm", output_dimension=2, n_init=1, max_iter=5, **OPTIONS
    ),
    "continue": lambda s: s.decomposition(
        algorithm="espm", output_dimension=2, init="previous", max_iter=5, **OPTIONS
    ),
    "SVD": lambda s: s.decomposition(print_info=False, navigation_mask=None),
    "model": lambda s: s.physical_model().G,
    "phases": lambda s: s.quantify(),
    "pixels": lambda s: s.quantify("pixels", units="weight"),
    "report": lambda s: s.print_quantification(),
    "regions": lambda s: s.quantify(roi=np.eye(4, 3, dtype=bool)),
    "report of regions": lambda s: s.print_quantification(roi=np.eye(4, 3, dtype=bool)),
    "shares": lambda s: s.phase_shares(),
    "profile": lambda s: s.quantify_profile(((0, 0), (2, 3)), target="phases"),
    "phase map": lambda s: s.phase_map(),
    "rename": lambda s: s.rename_phases({0: "a"}),
    "reorder": lambda s: s.reorder_phases([1, 0]),
    "merge": lambda s: s.merge_phases([0, 1]),
    "drop": lambda s: s.drop_phases([1]),
    "split": lambda s: s.split_phase(np.eye(4, 3, dtype=bool)),
    "keep": lambda s: (s.results.keep("a"), s.results.choose("a"), repr(s.results)),
    "results": lambda s: repr(s.results),
    "bootstrap": lambda s: s.bootstrap_quantification(2, show_progressbar=False),
    "areal densities": lambda s: s.estimate_areal_densities(),
    "mass thickness": lambda s: s.estimate_mass_thickness(),
    "thickness": lambda s: s.estimate_thickness(),
    "number": lambda s: s.estimate_number_of_phases((1, 2), show_progressbar=False),
    "binning": lambda s: s.estimate_binning(2, (1, 2), show_progressbar=False),
    "calibrate": lambda s: s.refine_calibration(print_info=False),
    "suggest": lambda s: s.suggest_elements(print_info=False),
    "suggest and add": lambda s: s.suggest_elements(add="stray", print_info=False),
    "parameters": lambda s: s.set_analysis_parameters(thickness=50, density=3.0),
    "line factors": lambda s: s.line_factors(),
    "k-factors": lambda s: s.calibrate_line_factors({"Fe_Ka": 1.3}, print_info=False),
    "standard": lambda s: s.calibrate_line_factors(
        s.deepcopy(), {"Fe": 2, "Ni": 1, "O": 3, "Si": 1, "Ti": 1}, print_info=False
    ),
    "mask": lambda s: s.mask_channels((1.0, 2.0), plot=False),
    "angle": lambda s: s.get_take_off_angle(),
    "loadings": lambda s: s.get_decomposition_loadings(),
    "reconstruction": lambda s: s.get_decomposition_model(),
    "plot phases": lambda s: s.plot_phases(),
    "plot fit": lambda s: s.plot_fit(),
    "plot composition": lambda s: s.plot_composition(),
    "plot convergence": lambda s: s.plot_convergence(),
    "plot residuals": lambda s: s.plot_residuals(),
}  # fmt: skip
ITEMS = (
    "Sample.elements",
    "Sample.thickness",
    "Sample.thickness_units",
    "Sample.density",
    f"{TEM}.beam_energy",
    f"{TEM}.beam_current",
    f"{TEM}.Stage.tilt_alpha",
    f"{TEM}.Stage.tilt_beta",
    f"{EDS}.azimuth_angle",
    f"{EDS}.elevation_angle",
    f"{EDS}.energy_resolution_MnKa",
    f"{EDS}.live_time",
    "EDS_espm.stray_elements",
    "EDS_espm.split_lines",
    "EDS_espm.detector",
    "EDS_espm.line_factors",
    "EDS_espm.standards",
    "EDS_espm.minimum_energy",
    "EDS_espm.take_off_angle",
    "EDS_espm.extra_spectra",
    "EDS_espm.solid_angle",
    "EDS_espm.live_time_pixels",
    "EDS_espm.signal_mask",
    "EDS_espm.results.W",
    "EDS_espm.results.options",
    "EDS_espm.results.model",
    "EDS_espm.results",
    "EDS_espm.kept",
    "EDS_espm.kept.one",
    "EDS_espm",
)
VALUES = (
    "delete",
    None,
    0,
    -1,
    1,
    True,
    5.0,
    40.0,
    1e30,
    float("nan"),
    float("inf"),
    1j,
    "",
    "x",
    "nm",
    "Cu",
    [],
    ["Fe"],
    ["Cu", "Cu"],
    [None],
    [1.0, 2.0],
    {},
    {"Fe": 1.0},
    {"Fe": "x"},
    {"resolution": "x"},
    {"layers": 3},
    {"a": {"kfactors": {"Fe_K": 1.2, "O_K": 2.0}}},
    {"a": {"kfactors": {"Fe_K": 0.0}, "errors": {}, "absolute": "x", "name": 3}},
    {"a": {"kfactors": {"Fe_K": 1.0}, "errors": {"O_K": [float("nan")]}}},
    np.array([]),
    np.array(["Fe", "O"]),
    np.full(300, np.nan),
    np.ones((2, 3)),
)


def changed(s, item, value) -> None:
    """Write a value over an item, or take it away."""
    parent, _, name = item.rpartition(".")
    node = s.metadata.get_item(parent) if parent else s.metadata
    if hasattr(node, name):
        delattr(node, name)
    if not (isinstance(value, str) and value == "delete"):
        with contextlib.suppress(AttributeError):  # of the other item's value
            s.metadata.set_item(item, value)


@pytest.fixture(scope="module")
def decomposed():
    s = make_map((4, 3), 200, size=300)
    s.metadata.set_item(f"{TEM}.beam_current", 0.5)
    s.set_analysis_parameters(solid_angle=0.7, live_time_of="map")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CALLS["decompose"](s)
    return s


def failure(s, call) -> Exception | None:
    """Return what a call raises."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None):
            warnings.simplefilter("ignore")
            call(s)
    except Exception as error:
        return error
    finally:
        plt.close("all")
    return None


def is_meant(error) -> bool:
    """Whether it was raised on purpose, here or in what this is built on."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    names = ("espm_hs", "hyperspy", "exspy", "sklearn")
    ours = any(name in last.filename for name in names)
    kinds = (ValueError, TypeError, RuntimeError)
    kind = type(error)
    known = kind in kinds or kind.__module__.startswith("espm_hs.")
    return known and ours and last.line.startswith("raise")


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(ITEMS), st.sampled_from(range(len(VALUES)))),
        min_size=1,
        max_size=2,
        unique_by=lambda change: change[0],
    ),
    call=st.sampled_from(list(CALLS)),
)
@settings(max_examples=int(os.environ.get("ESPM_HS_EXAMPLES", "120")))
def test_any_call_with_any_metadata(decomposed, changes, call):
    s = decomposed.deepcopy()
    for item, value in changes:
        changed(s, item, VALUES[value])
    before = state(s)
    error = failure(s, CALLS[call])
    if error is not None:
        assert is_meant(error), repr(error)
        assert state(s) == before
