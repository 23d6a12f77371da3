"""Phantoms: that they have the volumes, areas and widths they say."""

import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.plotting import plot_phantoms
from espm_hs.simulation import phantoms
from espm_hs.simulation.phantoms import (
    CoreShell,
    Sphere,
    area_before,
    core_shell_particles,
    grain_boundary,
    lamellae,
    maps_from_arrays,
    maps_from_image,
    maps_from_labels,
    random_fields,
    spheres_in_matrix,
    wedge,
)

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))
ANGLES = st.floats(-720, 720)
WIDTHS = st.floats(0.05, 50)
BLURS = st.one_of(st.just(0), st.floats(0.1, 5))


def check_shares(maps, shape, n_phases):
    assert maps.shape == (*shape, n_phases)
    assert maps.dtype == float
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.sum(axis=-1), 1, rtol=1e-12)


# -- shares add up, whatever the arguments


@settings(deadline=None)
@given(SHAPES, WIDTHS, st.floats(0, 1), st.floats(0, 1), ANGLES, st.floats(0, 30))
def test_shares_at_a_grain_boundary(shape, width, peak, position, angle, ripple):
    maps = grain_boundary(shape, width, peak, position, angle, ripple)
    check_shares(maps, shape, 3)
    assert maps[..., 2].max() <= peak


@settings(deadline=None)
@given(SHAPES, st.integers(1, 7), st.floats(1, 60), ANGLES, BLURS)
def test_shares_of_lamellae(shape, n_phases, period, angle, blur):
    check_shares(lamellae(shape, n_phases, period, angle, blur), shape, n_phases)


@settings(deadline=None)
@given(SHAPES, st.integers(1, 5), st.floats(0.01, 1), st.floats(0, 30), st.integers(0))
def test_shares_of_random_fields(shape, n_phases, length, contrast, seed):
    maps = random_fields(shape, n_phases, length * max(shape), contrast, seed)
    check_shares(maps, shape, n_phases)


@settings(deadline=None)
@given(SHAPES, st.integers(0, 1000), BLURS, st.integers(2, 6))
def test_shares_of_images(shape, seed, blur, n_phases):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-3, 3, shape)
    check_shares(maps_from_labels(labels, blur), shape, len(np.unique(labels)))
    arrays = rng.exponential(10.0 ** rng.integers(-300, 300), (n_phases, *shape))
    check_shares(maps_from_arrays(*arrays), shape, n_phases)
    grey = np.append(rng.normal(size=(shape[0], shape[1])), [[7.0]] * shape[0], axis=1)
    check_shares(maps_from_image(grey, n_phases), grey.shape, n_phases)


# -- round particles


def test_spheres_share_the_foil():
    spheres = [Sphere(0.3, 0.3, 0.2, 1.5), Sphere(0.7, 0.7, 0.25, 3.0)]
    check_shares(spheres_in_matrix((31, 47), spheres), (31, 47), 3)
    np.testing.assert_array_equal(spheres_in_matrix((2, 3), []), np.ones((2, 3, 1)))


def test_sphere_is_projected():
    # through the centre of a sphere in a foil of 4 radii: half of it is sphere
    share = Sphere(0.5, 0.5, 0.4, 4.0).share((101, 101))
    assert share[50, 50] == pytest.approx(0.5)
    # half a radius off: sqrt(1 - 1/4) of that; outside nothing
    distance = (70 - 50) / (0.4 * 101)
    assert share[50, 70] == pytest.approx(0.5 * np.sqrt(1 - distance**2))
    assert share[50, 95] == 0
    # a foil thinner than the sphere holds nothing else in the middle
    cut = Sphere(0.5, 0.5, 0.4, 1.0).share((101, 101))
    assert cut[50, 50] == 1
    # volume of an uncut sphere: 4/3 pi r3 over the thickness of the foil
    assert share.sum() * 4 == pytest.approx(4 / 3 * np.pi * (0.4 * 101) ** 2, rel=0.01)


def test_overlapping_spheres_are_refused():
    twice = [Sphere(0.5, 0.5, 0.3, 1.5)] * 2
    with pytest.raises(ValueError, match=r"fill up to 2\.00"):
        spheres_in_matrix((20, 20), twice)


def test_chords_through_core_and_shell():
    # radius 40 nm of 80 pixels, core 24 nm
    particle = CoreShell(y=0.5, x=0.5, radius=0.4, core=0.6)
    film, core, shell = np.moveaxis(
        core_shell_particles((201, 201), [particle], pixel_size=0.5, support=15), -1, 0
    )
    radius = 0.5 * 0.4 * 201
    assert (film == 15).all()
    assert core[100, 100] == pytest.approx(2 * 0.6 * radius)
    assert shell[100, 100] == pytest.approx(2 * 0.4 * radius)
    # 50 pixels off the core is missed
    chord = 2 * np.sqrt(radius**2 - 25**2)
    assert core[100, 150] == core[50, 100] == 0
    assert shell[100, 150] == pytest.approx(chord)
    assert shell[50, 100] == pytest.approx(chord)
    # nm of thickness times nm2 of pixel are the volumes
    volume = 4 / 3 * np.pi * radius**3
    assert core.sum() * 0.25 == pytest.approx(0.6**3 * volume, rel=1e-3)
    assert shell.sum() * 0.25 == pytest.approx((1 - 0.6**3) * volume, rel=1e-3)


def test_particles_in_projection_add_up():
    particles = [CoreShell(0.4, 0.4, 0.3, 0.5), CoreShell(0.6, 0.5, 0.25, 1.0)]
    one, other, both = (
        core_shell_particles((40, 60), chosen, 1.0, 0.0)
        for chosen in (particles[:1], particles[1:], particles)
    )
    np.testing.assert_allclose(both, one + other)
    assert other[..., 2].max() == 0  # all core, no shell
    assert (core_shell_particles((4, 6), [], 1.0, 7.0) == [7, 0, 0]).all()
    # a pixel half as large: the same picture of a particle half as large
    np.testing.assert_allclose(
        core_shell_particles((40, 60), particles, 0.5, 0.0), both / 2
    )


# -- layers


def test_wedge_is_linear():
    thickness = wedge((3, 50), 10, 110)
    # means of the pixels: half a step from the ends
    np.testing.assert_allclose(thickness, np.tile(10 + 2 * np.arange(50) + 1, (3, 1)))
    np.testing.assert_allclose(wedge((50, 3), 10, 110, angle=90), thickness.T)
    np.testing.assert_allclose(wedge((3, 50), 10, 110, 180), thickness[:, ::-1])


@settings(deadline=None)
@given(SHAPES, st.floats(0, 1e3), st.floats(0, 1e3), ANGLES)
def test_wedge_keeps_between_its_ends(shape, thin, more, angle):
    thickness = wedge(shape, thin, thin + more, angle)
    assert thickness.shape == shape
    assert thickness.min() >= thin * (1 - 1e-12)
    assert thickness.max() <= (thin + more) * (1 + 1e-12)
    assert thickness.mean() == pytest.approx(thin + more / 2)


def test_profile_of_a_grain_boundary():
    maps = grain_boundary((4, 101), width=6, segregation=0.3)
    profile = maps[0, :, 2]
    x = np.arange(101) - 50
    assert profile[50] == pytest.approx(0.3)
    assert profile.sum() == pytest.approx(0.3 * 6 * np.sqrt(2 * np.pi))
    assert np.sqrt(profile @ x**2 / profile.sum()) == pytest.approx(6)
    # the grains: cut in the middle of pixel 50, mirror images of each other
    np.testing.assert_allclose(maps[0, 50], [0.35, 0.35, 0.3])
    np.testing.assert_allclose(maps[:, ::-1, 0], maps[..., 1], atol=1e-15)
    np.testing.assert_allclose(maps[0, 60:, 0], 0)
    upright = grain_boundary((101, 4), width=6, segregation=0.3, angle=90)
    np.testing.assert_allclose(upright, maps.swapaxes(0, 1), atol=1e-15)


def test_profile_is_as_wide_across_an_oblique_boundary():
    # along a row a boundary at 60 degrees looks twice as wide
    row = grain_boundary((101, 301), 6, 0.3, angle=60)[50, :, 2]
    assert row.sum() == pytest.approx(2 * 0.3 * 6 * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("angle", [0, 20, 45, 120, 213])
@pytest.mark.parametrize("ripple", [0, 2])
def test_grains_have_the_areas_of_their_polygons(angle, ripple):
    # without segregation, against each pixel cut into 20 x 20
    shape, fine = (40, 50), 20
    found = grain_boundary(shape, 1, 0, 0.4, angle, ripple)[..., 0]
    cut = grain_boundary([fine * n for n in shape], 1, 0, 0.4, angle, fine * ripple)
    means = cut[..., 0].reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))
    # a straight line is exact, a wavy one is replaced by tangents
    np.testing.assert_allclose(found, means, atol=0.03 if ripple else 1e-10)


def test_waves_of_a_grain_boundary():
    flat, wavy = (
        grain_boundary((90, 80), 1, 0, ripple=ripple)[..., 0] for ripple in (0, 8)
    )
    line = wavy.sum(axis=1) - flat.sum(axis=1)
    expected = 8 * np.sin(2 * np.pi * 3 * (np.arange(90) - 44.5) / 90)
    np.testing.assert_allclose(line, expected, atol=0.2)


@settings(deadline=None)
@given(
    st.floats(-0.99, 0.99),
    st.one_of(st.sampled_from([0, 45, 90, 180, -270]), ANGLES),
)
def test_area_of_a_cut_pixel(distance, angle):
    x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    area = area_before(distance, x, y)
    points = (np.arange(400) + 0.5) / 400 - 0.5
    inside = x * points + y * points[:, None] < distance
    assert area == pytest.approx(inside.mean(), abs=2e-3)
    assert area + area_before(-distance, -x, -y) == pytest.approx(1)


def test_lamellae_within_pixels():
    # stripes of 1.5 pixels: 0 from 0 to 1.5, 1 from 1.5 to 3
    maps = lamellae((2, 6), 2, 3)
    np.testing.assert_allclose(maps[1, :, 0], [1, 0.5, 0, 1, 0.5, 0], atol=1e-12)
    # finer than pixels: 3 stripes in one, evenly mixed
    np.testing.assert_allclose(lamellae((4, 5), 3, 1), 1 / 3)
    upright = lamellae((6, 2), 2, 3, angle=90)
    np.testing.assert_allclose(upright, maps.swapaxes(0, 1), atol=1e-12)


@pytest.mark.parametrize("angle", [0, 17, 45, 133])
def test_lamellae_have_equal_areas(angle):
    maps = lamellae((120, 120), 4, 12, angle)
    np.testing.assert_allclose(maps.mean(axis=(0, 1)), 0.25, atol=0.01)
    np.testing.assert_allclose(  # over a period the pattern repeats
        lamellae((40, 120), 3, 12)[:, :-12], lamellae((40, 120), 3, 12)[:, 12:]
    )


def test_blur_has_its_width():
    # a single edge through a beam is an error function: its slope a Gaussian
    edge = lamellae((3, 80), 2, 80, blur=4)[1, :, 1]
    slope, x = np.diff(edge), np.arange(79) - 39
    assert slope.sum() == pytest.approx(1, abs=1e-3)
    assert np.sqrt(slope @ x**2) == pytest.approx(4, rel=0.02)


# -- fields


def test_correlation_length_of_fields():
    maps = random_fields((256, 256), 2, 12, contrast=1, seed=1)
    # the logarithm of the shares' ratio is a difference of fields: Gaussian again
    field = np.log(maps[..., 0] / maps[..., 1])
    assert field.std() == pytest.approx(np.sqrt(2), rel=0.15)
    for axis in (0, 1):
        for lag in (6, 12, 18):
            correlation = (field * np.roll(field, lag, axis)).mean() / field.var()
            assert correlation == pytest.approx(np.exp(-((lag / 12) ** 2)), abs=0.1)


def test_contrast_and_seed_of_fields():
    np.testing.assert_allclose(random_fields((9, 8), 4, 3, contrast=0), 0.25)
    maps = random_fields((128, 128), 3, 12)
    assert (maps.max(axis=(0, 1)) > 0.98).all()  # each nearly pure somewhere
    np.testing.assert_array_equal(maps, random_fields((128, 128), 3, 12, seed=0))
    assert (maps != random_fields((128, 128), 3, 12, seed=1)).any()
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(
        maps, random_fields((128, 128), 3, 12, seed=generator)
    )


# -- images


def test_labels_in_increasing_order():
    maps = maps_from_labels([[7, -2, 7], [3, 3, -2]])
    expected = [[[0, 0, 1], [1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0], [1, 0, 0]]]
    np.testing.assert_array_equal(maps, expected)
    np.testing.assert_array_equal(
        maps_from_labels(np.array([[True, False]])), [[[0, 1], [1, 0]]]
    )


def test_grey_values_are_mixtures():
    image = np.array([[10, 15, 20], [25, 30, 12]], dtype=np.uint8)
    maps = maps_from_image(image)
    np.testing.assert_allclose(maps[..., 1], [[0, 0.25, 0.5], [0.75, 1, 0.1]])
    three = maps_from_image(image, n_phases=3)
    np.testing.assert_allclose(three[0], [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]])
    np.testing.assert_allclose(three[1, 0], [0, 0.5, 0.5])


def test_arrays_become_shares():
    maps = maps_from_arrays([[1, 0]], [[3, 5]])
    np.testing.assert_allclose(maps, [[[0.25, 0.75], [0, 1]]])


# -- errors


@pytest.mark.parametrize(
    "phantom",
    [
        lambda shape: spheres_in_matrix(shape, []),
        lambda shape: core_shell_particles(shape, [], 1, 10),
        lambda shape: wedge(shape, 10, 20),
        lambda shape: grain_boundary(shape, 2, 0.5),
        lambda shape: lamellae(shape, 2, 10),
        lambda shape: random_fields(shape, 2, 1),
    ],
)
@pytest.mark.parametrize("shape", [(0, 5), (5,), 5, (4, 5, 6), (4.0, 5.0), "ab"])
def test_shapes_of_no_map_are_refused(phantom, shape):
    with pytest.raises(ValueError, match=r"is \(rows, columns\), both from 1 up"):
        phantom(shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sphere(0.5, 0.5, 0, 2), "radius must be a finite number above 0"),
        (lambda: Sphere(np.nan, 0.5, 1, 2), "y must be a finite number, found nan"),
        (lambda: CoreShell(0.5, 0.5, 0.1, 1.2), "core .* at most 1, found 1.2"),
        (lambda: core_shell_particles((4, 4), [], 0, 1), "pixel_size .* above 0"),
        (lambda: core_shell_particles((4, 4), [], 1, -1), "support .* at least 0"),
        (lambda: wedge((4, 4), -1, 5), "thin must be .* at least 0, found -1"),
        (lambda: wedge((4, 4), 9, 5), "exchange them"),
        (lambda: wedge((4, 4), 1, 5, np.inf), "angle must be a finite number"),
        (lambda: grain_boundary((4, 4), 0, 0.5), "width .* above 0, found 0"),
        (lambda: grain_boundary((4, 4), 1, 50), "segregation .* at most 1, found 50"),
        (lambda: grain_boundary((4, 4), 1, 0.5, 2), "position .* at most 1"),
        (lambda: grain_boundary((4, 4), 1, 0.5, ripple=-1), "ripple .* at least 0"),
        (lambda: lamellae((4, 4), 2.0, 10), "n_phases must be an integer of at least"),
        (lambda: lamellae((4, 4), 2, 0.5), "period .* at least 1, found 0.5"),
        (lambda: lamellae((4, 4), 2, 4, blur=None), "blur .* found None"),
        (lambda: random_fields((4, 6), 2, 7), "length .* at most 6, found 7"),
        (lambda: random_fields((4, 6), 0, 2), "n_phases .* found 0"),
        (lambda: random_fields((4, 6), 2, 2, -1), "contrast .* found -1"),
        (lambda: lamellae((10**5, 10**5), 2, 4), "100000 x 100000 pixels is too large"),
        (lambda: maps_from_labels([[0.5]]), "must be integers, found float64"),
        (lambda: maps_from_labels([1, 2]), r"\(rows, columns\), found \(2,\)"),
        (lambda: maps_from_image(np.ones((4, 4, 3))), r"found \(4, 4, 3\)"),
        (lambda: maps_from_image(np.ones((4, 4))), "two grey values, found 1 to 1"),
        (lambda: maps_from_image([[1, np.nan]]), "must be finite"),
        (lambda: maps_from_image([[1, 2]], 1), "n_phases .* at least 2, found 1"),
        (lambda: maps_from_arrays(), "found no map"),
        (lambda: maps_from_arrays([[1, 2]], [[1]]), r"found \(1, 2\), \(1, 1\)"),
        (lambda: maps_from_arrays([1, 2]), r"found \(2,\)"),
        (lambda: maps_from_arrays([[1, -2]]), "found -2 to 1"),
        (lambda: maps_from_arrays([[1, np.inf]]), "non-negative and finite"),
        (lambda: maps_from_arrays([[1, 0]], [[1, 0]]), r"1 pixels .* = \(0, 1\)"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - matched below
        make()
    assert re.search(message, str(raised.value).replace("`", ""))


# -- gallery


def test_gallery_has_a_panel_for_each_phantom():
    figure = plot_phantoms()
    shown = [axes.get_title() for axes in figure.axes]
    public = {name: getattr(phantoms, name) for name in phantoms.__all__}
    assert sorted(shown) == sorted(
        name for name, thing in public.items() if inspect.isfunction(thing)
    )
    for axes in figure.axes:
        colours = axes.images[0].get_array()
        assert colours.min() >= 0
        assert colours.max() <= 1
        assert len(axes.get_legend().get_texts()) >= 2
    plt.close(figure)
