"""Keywords that all figures share, whichever method takes them."""

import inspect
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from espm_hs.plotting import phases
from espm_hs.plotting.look import KEYWORDS, Look
from espm_hs.simulation import particles

QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
# Methods that draw -> what they need besides, and how many panels there are.
METHODS = {
    "plot_phases": ({}, 6),
    "plot_fit": ({}, 2),
    "plot_fit_of_region": ({}, 2),
    "plot_composition": ({"elements": ["Fe", "O"]}, 2),
    "plot_composition_of_region": ({}, 2),
    "plot_elements": ({"show_progressbar": False}, 7),
    "plot_profile": ({"line": ((0, 0), (30, 30))}, 2),
    "plot_convergence": ({}, 1),
    "plot_residuals": ({}, 2),
    "plot_phase_map": ({}, 1),
    "plot_number_of_phases": ({}, 2),
    "plot_binning": ({}, 1),
    "plot_comparison": ({}, 6),
    "plot_emission_lines": ({}, 1),
}
# Those of HyperSpy and eXSpy have their own.
OURS = "espm_hs"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def decomposed():
    """Map of two phases of which all is known that can be drawn; not to be changed."""
    s = particles((16, 20), counts_per_pixel=100)
    quick = {"n_init": 1, "max_iter": 20}
    s.decomposition(output_dimension=2, **quick, **QUIET)
    s.results.keep("a")
    s.results.keep("b")
    trial = {"n_thinnings": 2, "n_init": 1, "show_progressbar": False}
    s.estimate_number_of_phases((1, 2), **trial)
    s.estimate_binning(2, (1, 2), **trial)
    return s


def methods(s, keyword):
    """Methods of the package that take a keyword."""
    names = (name for name in dir(type(s)) if name.startswith("plot_"))
    return [
        name
        for name in names
        if getattr(type(s), name).__module__.startswith(OURS)
        and keyword in inspect.signature(getattr(s, name)).parameters
    ]


def test_no_method_is_forgotten(decomposed):
    assert set(methods(decomposed, "figsize")) == set(METHODS)
    # what follows a region has a figure of its own
    followed = {"plot_fit_of_region", "plot_composition_of_region"}
    assert set(METHODS) - set(methods(decomposed, "ax")) == followed


@pytest.mark.parametrize("method", METHODS)
def test_docstring_has_the_keywords_of_the_signature(decomposed, method):
    plot = getattr(decomposed, method)
    # without the margin, which Python 3.13 takes away by itself
    text = inspect.getdoc(plot)
    assert "{look}" not in text
    names = set(KEYWORDS) & set(inspect.signature(plot).parameters)
    for name in names:
        assert f"\n{name}\n    " in text, name


@pytest.mark.parametrize("method", METHODS)
def test_draws_on_the_axes_that_are_given(decomposed, method):
    if method not in methods(decomposed, "ax"):
        pytest.skip("has a figure of its own")
    options, n_panels = METHODS[method]
    figure, axes = plt.subplots(2, 4)
    found = getattr(decomposed, method)(ax=axes, **options)
    assert found is figure
    assert plt.get_fignums() == [figure.number]
    assert [one.has_data() for one in axes.flat] == [i < n_panels for i in range(8)]
    # of fewer axes, the first panels are drawn, and they are the same
    alone = plt.figure().add_subplot()
    getattr(decomposed, method)(ax=alone, **options)
    first = axes.flat[0]
    for kind in ("lines", "images", "patches"):
        pairs = zip(getattr(alone, kind), getattr(first, kind), strict=True)
        for one, other in pairs:
            assert type(one) is type(other)
            if kind == "lines":
                np.testing.assert_array_equal(one.get_ydata(), other.get_ydata())
    figure.canvas.draw()


@pytest.mark.parametrize("method", METHODS)
def test_sizes_of_new_figures(decomposed, method):
    options, _ = METHODS[method]
    figure = getattr(decomposed, method)(figsize=(7, 5), **options)
    assert tuple(figure.get_size_inches()) == (7, 5)


def test_part_of_a_figure(decomposed):
    """Axes of a part belong to the figure that holds it."""
    figure = plt.figure()
    left, right = figure.subfigures(1, 2)
    left, right = left.subplots(), right.subplots(2)
    assert decomposed.plot_phase_map(ax=left) is figure
    assert decomposed.plot_fit(ax=right) is figure
    by_name = plt.figure().subplot_mosaic("ab")
    decomposed.plot_fit(ax=by_name)
    assert all(one.has_data() for one in by_name.values())


@pytest.mark.parametrize("log", [True, False])
def test_scale_of_the_counts(decomposed, log):
    scale = "log" if log else "linear"
    for figure in (
        decomposed.plot_fit(log=log),
        decomposed.plot_fit_of_region(log=log),
    ):
        assert figure.axes[0].get_yscale() == scale
    spectrum = decomposed.plot_phases(log=log).axes[1]
    assert spectrum.get_yscale() == scale


def test_energies_of_all_panels(decomposed):
    for method in methods(decomposed, "energy_range"):
        figure = getattr(decomposed, method)(energy_range=(1.0, 4.0))
        spectra = [one for one in figure.axes if "keV" in one.get_xlabel()]
        assert spectra, method
        assert all(one.get_xlim() == (1.0, 4.0) for one in spectra), method


@pytest.mark.parametrize(
    "wrong",
    [
        {"ax": 3},
        {"ax": []},
        {"ax": [None]},
        {"cmap": "no such"},
        {"energy_range": (4, 1)},
        {"energy_range": 3},
        {"figsize": (0, 3)},
        {"figsize": "large"},
        {"log": "yes"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}`"):
        Look.of(**wrong)


def test_axes_or_a_size():
    with pytest.raises(ValueError, match="give one of them"):
        Look.of(ax=plt.figure().add_subplot(), figsize=(3, 3))
    two = [plt.figure().add_subplot(), plt.figure().add_subplot()]
    with pytest.raises(ValueError, match="several figures"):
        Look.of(ax=two)


def test_a_keyword_that_a_method_has_not(decomposed):
    with pytest.raises(TypeError, match="cmap"):
        decomposed.plot_convergence(cmap="gray")
    with pytest.raises(TypeError, match="color"):
        decomposed.plot_phases(color="red")


def test_labels_of_lines_keep_their_distance_in_any_part_of_the_spectrum(decomposed):
    axes = plt.figure(figsize=(5, 4), layout="constrained").add_subplot()
    decomposed.plot_fit(ax=axes)
    shown = []
    for limits in ((0, 9), (0.3, 1.1), (0.6, 0.8), (6, 9)):
        axes.set_xlim(limits)
        axes.figure.canvas.draw()
        labels = [one for one in axes.texts if one.get_visible()]
        assert all(limits[0] <= one.xy[0] <= limits[1] for one in labels)
        # without their threads
        boxes = sorted(map(Text.get_window_extent, labels), key=lambda box: box.x0)
        assert all(a.x1 <= b.x0 + 1 for a, b in pairwise(boxes))
        assert all(axes.bbox.x0 - 1 <= b.x0 and b.x1 <= axes.bbox.x1 + 1 for b in boxes)
        shown.append({one.get_text() for one in labels})
    assert {"Fe Kα", "Ni Kα"} <= shown[0] & shown[3]
    assert shown[1] >= {"O Kα", "Fe Lα"}
    # nothing is left to move, so that a window does not draw for ever
    axes.figure.canvas.draw()
    assert not axes.figure.stale


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_phase_without_elements_says_so(is_empty):
    amount = np.nan if is_empty else 50.0
    found = SimpleNamespace(elements=("O", "Fe"), empty=np.array([is_empty]))
    axes = plt.figure().add_subplot()
    numbers = np.full((2, 1), amount), np.full(2, amount)
    phases._draw_composition(found, 0, *numbers, axes)
    said = [one.get_text() for one in axes.texts]
    assert ("none of the elements" in said) == is_empty
