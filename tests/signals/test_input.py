"""What may come in, and what it gets: a result, or an error that names the cure.

Whatever fails leaves data and metadata as they were.
"""

import warnings

import numpy as np
import pytest
from conftest import make_map
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.quantification.percent_with_errors import not_found

TEM = "Acquisition_instrument.TEM"
EDS = f"{TEM}.Detector.EDS"


@pytest.fixture(scope="module")
def small_map():
    return make_map((4, 3), 200, size=300)


def decompose(s, n=2, **options):
    settings = {"n_init": 1, "max_iter": 12, "print_info": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s.decomposition(algorithm="espm", output_dimension=n, **settings, **options)
    return np.array([signal.data for signal in s.quantify()])


def state(s):
    data = np.array(s.data, copy=True)
    axes = [str(axis) for axis in s.axes_manager._axes]
    return data.dtype, data.tobytes(), axes, str(s.metadata), str(s.learning_results)


def data(function):
    def change(s):
        s.data = function(np.asarray(s.data))

    return change


def one_entry(value):
    def change(x):
        x = x.astype(float)
        x[1, 1, 100] = value
        return x

    return data(change)


def metadata(key, value):
    return lambda s: s.metadata.set_item(key, value)


def items(**values):
    """Change analysis parameters, as no call would: in another program."""

    def change(s):
        for name, value in values.items():
            s.metadata.set_item(name.replace("__", "."), value)

    return change


def axis(**values):
    def change(s):
        for name, value in values.items():
            setattr(s.axes_manager[-1], name, value)

    return change


def changed(small_map, change):
    """Copy of a map, changed in place or cut."""
    s = small_map.deepcopy()
    return change(s) or s


def uneven(s):
    """Make the steps of the energy axis grow."""
    axis = s.axes_manager[-1]
    axis.convert_to_non_uniform_axis()
    axis.axis = np.cumsum(np.linspace(0.01, 0.03, axis.size))


WORKS = {
    "bool": data(lambda x: x > 0),
    "int8": data(lambda x: x.astype(np.int8)),
    "int64": data(lambda x: x.astype(np.int64)),
    "float16": data(lambda x: x.astype(np.float16)),
    "float32": data(lambda x: x.astype(np.float32)),
    "big endian": data(lambda x: x.astype(">u4")),
    "beyond 32 bits": data(lambda x: x.astype(np.int64) * 2**33),
    "fractions": data(lambda x: x * 1e-6),
    "many": data(lambda x: x * 1e9),
    "read-only": data(lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape)),
    "empty pixel": data(lambda x: x * (np.arange(4) > 0)[:, None, None]),
    "empty channels": data(lambda x: x * (np.arange(300) % 7 > 0).astype(x.dtype)),
    "eV": axis(units="eV", scale=20.0, offset=-100.0),
    "elements as one symbol": metadata("Sample.elements", "Fe"),
    "elements as array": metadata("Sample.elements", np.array(["Fe", "O"])),
    "stage tilted": metadata(f"{TEM}.Stage.tilt_alpha", 20.0),
    "nothing of the detector": lambda s: s.metadata.set_item(EDS, {}),
    "stray element as text": items(EDS_espm__stray_elements="Cu"),
    "thickness 0": items(Sample__thickness=0.0, Sample__density=3.0),
    "two pixels": lambda s: s.inav[:2, :1],
    "a line": lambda s: s.inav[0],
    "half the channels": lambda s: s.isig[:150],
    "masked array": data(lambda x: np.ma.masked_greater(x, 3)),
}

FAILS = {
    "complex": (data(lambda x: x.astype(complex)), TypeError, r"complex128.*signal"),
    "objects": (data(lambda x: x.astype(object)), TypeError, "type object"),
    "text": (data(lambda x: x.astype(str)), TypeError, "of type <U"),
    "NaN": (one_entry(np.nan), ValueError, "NaN or infinity.*navigation_mask"),
    "infinity": (one_entry(np.inf), ValueError, "NaN or infinity"),
    "negative": (one_entry(-3.0), ValueError, "smallest is -3"),
    "absurdly large": (one_entry(1e300), ValueError, "largest value.* 1e[+]300"),
    "all zero": (data(lambda x: x * 0), ValueError, "All counts .* zero"),
    "axis decreases": (axis(scale=-0.02), ValueError, "uniform and increasing"),
    "axis in uneven steps": (uneven, ValueError, "interpolate_on_axis"),
    "axis of one channel": (lambda s: s.isig[30:31], ValueError, "2 or more channels"),
    "axis without units": (axis(units=""), ValueError, "units .*keV"),
    "axis in nm": (axis(units="nm"), ValueError, "'nm'"),
    "axis NaN": (axis(offset=np.nan), ValueError, "offset and scale"),
    "axis without scale": (axis(scale=1.0), ValueError, "no line between"),
    "no beam energy": (
        lambda s: s.metadata.get_item(TEM).__delattr__("beam_energy"),
        ValueError,
        "set_microscope_parameters",
    ),
    "beam in V": (metadata(f"{TEM}.beam_energy", 2e5), ValueError, "in eV"),
    "beam negative": (metadata(f"{TEM}.beam_energy", -5), ValueError, "found -5"),
    "beam as text": (metadata(f"{TEM}.beam_energy", "200 kV"), ValueError, "'200 kV'"),
    "beam NaN": (metadata(f"{TEM}.beam_energy", np.nan), ValueError, "nan"),
    "no elements": (
        lambda s: s.metadata.Sample.__delattr__("elements"),
        ValueError,
        "set_elements",
    ),
    "atomic numbers": (metadata("Sample.elements", [26]), ValueError, "mean 'Fe'"),
    "lower case": (metadata("Sample.elements", ["fe"]), ValueError, "mean 'Fe'"),
    "twice": (metadata("Sample.elements", ["Fe", "Fe"]), ValueError, "more than once"),
    "unknown": (metadata("Sample.elements", ["Xx"]), ValueError, "'Xx'"),
    "too light": (metadata("Sample.elements", ["H"]), ValueError, "B to U"),
    "too heavy": (metadata("Sample.elements", ["Cm"]), ValueError, "B to U"),
    "resolution NaN": (
        metadata(f"{EDS}.energy_resolution_MnKa", np.nan),
        ValueError,
        "energy_resolution_MnKa",
    ),
    "resolution 0": (
        metadata(f"{EDS}.energy_resolution_MnKa", 0),
        ValueError,
        "resolution must be at least",
    ),
    "detector behind": (
        metadata(f"{EDS}.elevation_angle", 200.0),
        ValueError,
        "elevation of 200.*set_microscope_parameters",
    ),
    "elevation as text": (
        metadata(f"{EDS}.elevation_angle", "high"),
        ValueError,
        "elevation_angle",
    ),
    "elements as number": (metadata("Sample.elements", 26), ValueError, "set_elements"),
    "elements as node": (
        metadata("Sample.elements", {"Fe": 1.0}), ValueError, "set_elements"
    ),
    "thickness alone": (items(Sample__thickness=1e-7), ValueError, "no density"),
    "thickness negative": (
        items(Sample__thickness=-1e-7, Sample__density=3.0), ValueError, "negative"
    ),
    "thickness in km": (
        items(Sample__thickness=1e-7, Sample__thickness_units="km"), ValueError, "'km'"
    ),
    "thickness of 1 m": (items(Sample__thickness=1.0), ValueError, "no electron"),
    "thickness as text": (items(Sample__thickness="thin"), ValueError, "'thin'"),
    "density negative": (items(Sample__density=-1.0), ValueError, "negative"),
    "stray element of the sample": (
        items(EDS_espm__stray_elements=["Fe"]), ValueError, "both in the sample and"
    ),
    "stray element as number": (
        items(EDS_espm__stray_elements=29), ValueError, "stray_elements=..."
    ),
    "unknown detector": (
        items(EDS_espm__detector="best"), ValueError, "windowless, .*detector=..."
    ),
    "resolution of the detector as text": (
        items(EDS_espm__detector={"resolution": "good"}), ValueError, "a number"
    ),
    "layers of the detector as number": (
        items(EDS_espm__detector={"layers": 5}), ValueError, "'Al 0.038 um"
    ),
    "minimum energy as text": (
        items(EDS_espm__minimum_energy="low"), ValueError, "minimum_energy=..."
    ),
    "minimum energy too high": (
        items(EDS_espm__minimum_energy=90.0), ValueError, "No channel to fit"
    ),
    "split lines as text": (
        items(EDS_espm__split_lines="Fe"), ValueError, "split_lines=..."
    ),
    "line factors as number": (
        items(EDS_espm__line_factors=2), ValueError, "line_factors=..."
    ),
    "take-off angle as text": (
        items(EDS_espm__take_off_angle="flat"), ValueError, "take_off_angle=..."
    ),
    "extra spectra as number": (
        items(EDS_espm__extra_spectra=3), ValueError, "extra_spectra=..."
    ),
    "extra spectrum too short": (
        items(EDS_espm__extra_spectra={"x": np.ones(5)}), ValueError, "300 channels"
    ),
    "something else in EDS_espm": (
        metadata("EDS_espm", 5), ValueError, "del s.metadata.EDS_espm"
    ),
}  # fmt: skip

OPTIONS = [
    ({"n": None}, ValueError, "number of phases"),
    ({"n": 0}, ValueError, "output_dimension"),
    ({"n": 13}, ValueError, "between 1 and 12"),
    ({"n": 1.5}, ValueError, "integer"),
    ({"n": "3"}, ValueError, "integer"),
    ({"n": True}, ValueError, "integer"),
    ({"sparsity": -1}, ValueError, "sparsity"),
    ({"sparsity": np.nan}, ValueError, "sparsity"),
    ({"smoothness": "much"}, ValueError, "smoothness.*'auto' or"),
    ({"simplex": "H"}, ValueError, "simplex"),
    ({"solver": "lbfgs"}, ValueError, "solver"),
    ({"init": "svd"}, ValueError, "init"),
    ({"init": (np.ones((3, 2)), None)}, ValueError, "needed is"),
    ({"tol": -1}, ValueError, "tol"),
    ({"random_state": "seed"}, ValueError, "random_state"),
    ({"random_state": -1}, ValueError, "random_state"),
    ({"n_jobs": 0}, ValueError, "n_jobs"),
    ({"binning": 0}, ValueError, "binning"),
    ({"n_components": 3}, TypeError, "n_components"),
    ({"navigation_mask": np.ones((3, 4), bool)}, ValueError, "All pixels"),
    ({"navigation_mask": np.ones((4, 3), bool)}, ValueError, "shape"),
    ({"navigation_mask": np.ones((3, 4))}, ValueError, "boolean"),
    ({"signal_mask": np.ones(300, bool)}, ValueError, "All channels"),
    ({"signal_mask": np.ones(5, bool)}, ValueError, "shape"),
]


@pytest.mark.parametrize("case", WORKS)
def test_works(small_map, case):
    s = changed(small_map, WORKS[case])
    before = state(s)[:3]
    percent = decompose(s)
    assert np.isfinite(percent).all()
    np.testing.assert_allclose(percent.sum(axis=0), 100)
    assert state(s)[:3] == before


@pytest.mark.parametrize("case", FAILS)
def test_bad_data_and_metadata(small_map, case):
    change, error, message = FAILS[case]
    s = changed(small_map, change)
    before = state(s)
    with pytest.raises(error, match=message):
        decompose(s)
    assert state(s) == before


@pytest.mark.parametrize(("options", "error", "message"), OPTIONS)
def test_bad_options_fail_before_the_data_are_read(
    small_map, options, error, message, monkeypatch
):
    def read(*arguments):
        raise AssertionError("the data were read")

    monkeypatch.setattr("espm_hs.decomposition.decompose.read_counts", read)
    s = small_map.deepcopy()
    before = state(s)
    with pytest.raises(error, match=message):
        decompose(s, **options)
    assert state(s) == before


@given(
    shape=st.sampled_from([(1, 1), (2, 1), (1, 5), (3, 4)]),
    kind=st.sampled_from(["u1", "i4", "f4", "f8"]),
    scale=st.sampled_from([1e-6, 1.0, 1e3, 1e9]),
    zeros=st.floats(0, 1),
    n=st.integers(1, 4),
    sparsity=st.sampled_from([0.0, 1.0]),
    smoothness=st.sampled_from([0.0, 10.0, "auto"]),
    simplex=st.sampled_from(["elements", "abundances", None]),
    bad=st.sampled_from([None, None, None, np.nan, -1.0, np.inf]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_anything(
    small_map, shape, kind, scale, zeros, n, sparsity, smoothness, simplex, bad, seed
):
    """A result that is finite and whole, or a clear error and nothing changed."""
    rng = np.random.default_rng(seed)
    s = small_map.inav[: shape[1], : shape[0]].deepcopy()
    X = s.data * (rng.random(s.data.shape) >= zeros)
    X = np.minimum(X * scale, 255) if kind == "u1" else X * scale
    s.data = X.astype(kind)
    if bad is not None and s.data.dtype.kind == "f":
        s.data.flat[rng.integers(s.data.size)] = bad
    before = state(s)
    options = {"sparsity": sparsity, "smoothness": smoothness, "simplex": simplex}
    try:
        percent = decompose(s, n, **options)
    except ValueError as error:
        percent, message = None, str(error)
    if percent is None:
        assert state(s) == before
        assert "`" in message or "counts" in message
        return
    # percentages of a phase without atoms, of background alone, are not defined, nor
    # those that noise moves by more than 100 %
    found = s.analysis_results()
    bare = not_found(found, np.eye(len(found.elements)))
    assert bare[found.atoms == 0].all()
    missing = np.isnan(percent).reshape(len(percent), -1)
    np.testing.assert_array_equal(missing.any(axis=0), bare)
    np.testing.assert_array_equal(missing.all(axis=0), bare)
    assert np.nanmin(percent, initial=0) >= 0
    assert state(s)[:3] == before[:3]
    assert np.isfinite(s.learning_results.loadings).all()
