"""Built-in data sets: fixed samples, with counts, seed and effects of one's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espm_hs.physics import BulkModel, Detector, SpectrumModel
from espm_hs.simulation import phantoms
from espm_hs.simulation.effects import Effects
from espm_hs.simulation.emission import Phase
from espm_hs.simulation.experiment import Experiment
from espm_hs.simulation.phantoms import (
    CoreShell,
    Sphere,
    core_shell_particles,
    spheres_in_matrix,
)
from espm_hs.simulation.phantoms import grain_boundary as boundary_maps
from espm_hs.simulation.recording import record

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

Shape = tuple[int, int]


class _Sample(NamedTuple):
    """What a data set shows: arguments of `Experiment`."""

    model: SpectrumModel
    phases: list[Phase]
    thickness: np.ndarray
    stray: dict[str, float] = {}  # noqa: RUF012 - never changed


def particles(
    shape: Shape = (64, 64),
    counts_per_pixel: float = 100,
    seed: int = 0,
    *,
    effects: Effects | None = None,
    lazy: bool = False,
) -> BaseSignal:
    """Two particles in a matrix: a chondrite in small.

    Taenite (iron-nickel metal) and ilmenite (FeTiO3), each a sphere, in olivine, with
    stray copper of the grid: 200 keV, foil of 100 nm, 2 nm per pixel, 1024 channels
    of 10 eV. The foil cuts both spheres, so that there are pixels of each particle
    alone and, around them, mixtures with olivine. Iron is in all three phases; the L
    lines of Ti and Fe touch the K line of O, and those of Ni and Cu overlap.

    Parameters
    ----------
    shape
        Rows and columns.
    counts_per_pixel
        Expected number of counts of a pixel, mean of the map.
    seed
        The same seed gives the same map.
    effects
        What the metadata, and so the fit, do not know.
    lazy
        Return a lazy signal, whose counts are kept sparse.

    Returns
    -------
    EDSespmSpectrum or LazyEDSespmSpectrum
        With beam energy, elements, thickness, density and stray elements set, ready
        for ``decomposition(algorithm="espm", output_dimension=3)``. Its
        ``ground_truth()`` tells what was put in.

    Raises
    ------
    ValueError
        If a number makes no sense.

    Examples
    --------
    >>> from espm_hs.simulation import particles
    >>> s = particles(shape=(16, 16), counts_per_pixel=50)
    >>> s.ground_truth().names
    ('olivine', 'taenite', 'ilmenite')
    """
    return _recorded("particles", shape, counts_per_pixel, seed, effects, lazy)


def grain_boundary(
    shape: Shape = (96, 96),
    counts_per_pixel: float = 60,
    seed: int = 0,
    *,
    effects: Effects | None = None,
    lazy: bool = False,
) -> BaseSignal:
    """Wavy boundary between two grains with a film of glass in it.

    Alumina and yttrium-doped zirconia; the glass of Si, Ca, Al and O reaches 60 % of
    the thickness in the boundary and falls off as a Gaussian of 1 nm, so that it is
    pure nowhere. Its Si K line stands beside the L lines of Y and Zr. 200 keV, foil of
    60 nm, 0.25 nm per pixel, 2048 channels of 10 eV.

    Parameters
    ----------
    shape, counts_per_pixel, seed, effects, lazy
        As in `particles`.

    Returns
    -------
    EDSespmSpectrum or LazyEDSespmSpectrum
        As `particles`.
    """
    return _recorded("grain_boundary", shape, counts_per_pixel, seed, effects, lazy)


def core_shell(
    shape: Shape = (96, 96),
    counts_per_pixel: float = 40,
    seed: int = 0,
    *,
    effects: Effects | None = None,
    lazy: bool = False,
) -> BaseSignal:
    """Platinum-iron particles with a shell of magnetite, on carbon.

    Cores of Fe16Pt84 in shells of Fe3O4 on a film of 20 nm, with stray copper of the
    grid. In projection a core is never seen without its shell, and iron is in both.
    200 keV, 1 nm per pixel, 2048 channels of 10 eV from -0.1 keV.

    Parameters
    ----------
    shape, counts_per_pixel, seed, effects, lazy
        As in `particles`.

    Returns
    -------
    EDSespmSpectrum or LazyEDSespmSpectrum
        As `particles`.
    """
    return _recorded("core_shell", shape, counts_per_pixel, seed, effects, lazy)


def mantle(
    shape: Shape = (128, 128),
    counts_per_pixel: float = 293,
    seed: int = 0,
    *,
    effects: Effects | None = None,
    lazy: bool = False,
) -> BaseSignal:
    """Minerals of the lower mantle: the synthetic map of Teurtrie et al. (2024).

    A matrix and two spheres that partly overlap and fill at most half the thickness,
    so that their own spectra are seen nowhere. 200 keV, take-off angle 35 degrees,
    100 nm of 4.5 g/cm3, 1980 channels of 10 eV from 0.3 keV. The paper uses 293 and
    18 counts per pixel.

    Parameters
    ----------
    shape, counts_per_pixel, seed, effects, lazy
        As in `particles`.

    Returns
    -------
    EDSespmSpectrum or LazyEDSespmSpectrum
        As `particles`.
    """
    return _recorded("mantle", shape, counts_per_pixel, seed, effects, lazy)


def experiment(
    name: str,
    shape: Shape | None = None,
    counts_per_pixel: float | None = None,
    effects: Effects | None = None,
) -> Experiment:
    """Return the experiment behind a data set: for its means, or for many draws.

    Parameters
    ----------
    name
        One of `DATASETS`.
    shape
        Rows and columns; default that of the data set.
    counts_per_pixel
        Mean of the map; default that of the data set.
    effects
        What the model does not know.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If there is no such data set, or a number makes no sense.
    """
    if name not in DATASETS:
        raise ValueError(
            f"There is no data set {name!r}: there are {', '.join(DATASETS)}."
        )
    usual = DATASETS[name].__defaults__ or ()
    shape = usual[0] if shape is None else shape
    counts = usual[1] if counts_per_pixel is None else counts_per_pixel
    model, phases, maps, stray = _SAMPLES[name][0](shape)
    return Experiment(model, phases, maps, counts, stray=stray, effects=effects)


def _recorded(
    name: str,
    shape: Shape,
    counts: float,
    seed: int,
    effects: Effects | None,
    lazy: bool,
) -> BaseSignal:
    made = experiment(name, shape, counts, effects)
    title = f"Simulated {name.replace('_', ' ')}"
    pixel_size = _SAMPLES[name][1]
    return record(made, seed, pixel_size=pixel_size, title=title, lazy=lazy)


def _particles(shape: Shape) -> _Sample:
    olivine = {"O": 4, "Mg": 1.8, "Si": 1, "Fe": 0.2}
    ilmenite = {"O": 3, "Mg": 0.1, "Ti": 1, "Fe": 0.9}
    model = SpectrumModel(
        0.01 * np.arange(1024),
        beam_energy=200,
        elements=["Fe", "Mg", "Ni", "O", "Si", "Ti"],
        stray_elements=["Cu"],
        take_off_angle=22,
        thickness=100,
        density=4.0,
    )
    phases = [
        Phase("olivine", olivine, 3.4, (0.02, 0.04, 0.06)),
        Phase("taenite", {"Fe": 0.65, "Ni": 0.35}, 8.0, (0.05, 0.05, 0.08)),
        Phase("ilmenite", ilmenite, 4.7, (0.03, 0.04, 0.07)),
    ]
    metal = Sphere(y=0.36, x=0.33, radius=0.22, thickness=1.6)
    oxide = Sphere(y=0.66, x=0.70, radius=0.22, thickness=1.7)
    maps = 100 * spheres_in_matrix(shape, [metal, oxide])
    return _Sample(model, phases, maps, {"Cu": 0.03})


def _grain_boundary(shape: Shape) -> _Sample:
    model = SpectrumModel(
        0.01 * np.arange(2048),
        beam_energy=200,
        elements=["Al", "Ca", "O", "Si", "Y", "Zr"],
        take_off_angle=22,
        thickness=60,
        density=4.8,
    )
    phases = [
        Phase("alumina", {"Al": 2, "O": 3}, 3.95, 0.08),
        Phase("zirconia", {"Zr": 0.94, "Y": 0.06, "O": 1.97}, 6.0, 0.14),
        Phase("glass", {"Si": 1, "Ca": 0.3, "Al": 0.4, "O": 2.9}, 2.7, 0.1),
    ]
    width = 4 * min(shape) / 96
    maps = boundary_maps(shape, width, segregation=0.6, angle=20, ripple=width)
    return _Sample(model, phases, 60 * maps)


def _core_shell(shape: Shape) -> _Sample:
    model = SpectrumModel(
        -0.1 + 0.01 * np.arange(2048),
        beam_energy=200,
        elements=["C", "Fe", "O", "Pt"],
        stray_elements=["Cu"],
        take_off_angle=22,
        thickness=40,
        density=5.0,
    )
    phases = [
        Phase("carbon", {"C": 1}, 2.0, 0.2),
        Phase("core", {"Fe": 0.16, "Pt": 0.84}, 19.5, 0.12),
        Phase("shell", {"Fe": 3, "O": 4}, 5.2, 0.08),
    ]
    places = [
        CoreShell(y=0.26, x=0.28, radius=0.19, core=0.60),
        CoreShell(y=0.30, x=0.74, radius=0.16, core=0.55),
        CoreShell(y=0.72, x=0.33, radius=0.17, core=0.65),
        CoreShell(y=0.70, x=0.75, radius=0.20, core=0.50),
        CoreShell(y=0.50, x=0.52, radius=0.08, core=0.60),
    ]
    maps = core_shell_particles(shape, places, pixel_size=96 / min(shape), support=20)
    return _Sample(model, phases, maps, {"Cu": 0.04})


def _mantle(shape: Shape) -> _Sample:
    matrix = {"Mg": 0.245, "Fe": 0.035, "Ca": 0.031, "Si": 0.219, "Al": 0.024,
              "O": 0.436, "Cu": 0.05, "Hf": 0.01}  # fmt: skip
    sphere_1 = {"Mg": 0.522, "Fe": 0.104, "O": 0.374, "Cu": 0.05}
    sphere_2 = {"Mg": 0.020, "Fe": 0.018, "Ca": 0.188, "Si": 0.173, "Al": 0.010,
                "O": 0.572, "Ti": 0.004, "Cu": 0.05, "Sm": 0.007, "Lu": 0.006,
                "Nd": 0.006}  # fmt: skip
    model = SpectrumModel(
        0.3 + 0.01 * np.arange(1980),
        beam_energy=200,
        elements=sorted({*matrix, *sphere_1, *sphere_2}),
        take_off_angle=35,
        thickness=100,
        density=4.5,
    )
    phases = [
        Phase("matrix", matrix, 4.5 * 1.0, (0.005, 0.01, 0.03)),
        Phase("sphere 1", sphere_1, 4.5 * 0.8, (0.01, 0.01, 0.02)),
        Phase("sphere 2", sphere_2, 4.5 * 1.2, (0.005, 0.02, 0.04)),
    ]
    # a foil of 4 radii: half of it is sphere in the middle
    spheres = [
        Sphere(y=50 / 128, x=50 / 128, radius=25 / 128, thickness=4.0),
        Sphere(y=78 / 128, x=78 / 128, radius=25 / 128, thickness=4.0),
    ]
    maps = spheres_in_matrix(shape, spheres)
    return _Sample(model, phases, 100 * maps)


def polished_section(
    shape: Shape = (64, 64),
    counts_per_pixel: float = 50.0,
    seed: int = 0,
    effects: Effects | None = None,
    lazy: bool = False,
) -> BaseSignal:
    """Four minerals in a polished section at 15 kV: a bulk sample.

    Olivine, plagioclase, augite and ilmenite in grains of about 10 µm, with mixed
    pixels of 1 µm where they meet. The surface has 10 nm of carbon.

    Parameters
    ----------
    shape
        Rows and columns of the map.
    counts_per_pixel
        Mean counts of a pixel.
    seed
        The same seed gives the same counts.
    effects
        What the model of the signal does not know, but for those of films.
    lazy
        Whether the signal is a lazy one.

    Returns
    -------
    EDSespmSEMSpectrum
        Counts; its `ground_truth` has the shares of the phases for their ``thickness``.

    Raises
    ------
    ValueError
        If a value is out of range.
    """
    olivine = {"O": 4, "Mg": 1.6, "Fe": 0.4, "Si": 1}
    plagioclase = {"O": 8, "Ca": 0.6, "Na": 0.4, "Al": 1.6, "Si": 2.4}
    augite = {"O": 6, "Ca": 0.8, "Mg": 0.9, "Fe": 0.3, "Si": 2}
    ilmenite = {"O": 3, "Ti": 1, "Fe": 0.9, "Mg": 0.1}
    model = BulkModel(
        0.01 * np.arange(1500),
        beam_energy=15,
        elements=sorted({*olivine, *plagioclase, *ilmenite}),
        take_off_angle=40.0,
        detector=Detector.preset("polymer_window", carbon=0.03),
        coating=("C", 10.0),
    )
    phases = [
        Phase("olivine", olivine, 3.5, 0.15),
        Phase("plagioclase", plagioclase, 2.7, 0.15),
        Phase("augite", augite, 3.3, 0.15),
        Phase("ilmenite", ilmenite, 4.7, 0.15),
    ]
    grain = max(1.0, min(shape) / 6)
    maps = phantoms.random_fields(shape, len(phases), grain, contrast=12, seed=4)
    made = Experiment(model, phases, maps, counts_per_pixel, effects=effects)
    title = "Simulated polished section"
    return record(made, seed, pixel_size=1000.0, title=title, lazy=lazy)


#: Name -> function that simulates the data set.
DATASETS: dict[str, Callable[..., BaseSignal]] = {
    function.__name__: function
    for function in (particles, grain_boundary, core_shell, mantle)
}
# Name -> its sample for a shape, and the side of a pixel in nm.
_SAMPLES: dict[str, tuple[Callable[[Shape], _Sample], float]] = {
    "particles": (_particles, 2.0),
    "grain_boundary": (_grain_boundary, 0.25),
    "core_shell": (_core_shell, 1.0),
    "mantle": (_mantle, 1.0),
}
