"""Materials that users have, simulated: some to learn from, others to judge by.

Each is a function of a random generator and the shape of the map that returns a
`Sample`. `TRAINING` may be looked at while defaults are chosen; `HELD_OUT` was written
down, with its seeds, before any default was tuned on the other half. Its results have
been read since. `FRESH` and `BLIND` came after it, one after the other: each was
committed before anything was fitted to it, judged what had been changed until then, and
has been read, too, and so have `LATER`, `LAST`, `FINAL` and `EIGHTH`. `NINTH` was
committed before it was decomposed, to take their place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.accuracy.samples import (
    Sample,
    Shape,
    coated_spheres,
    embedded,
    grains,
    layers,
    spheres,
)
from espm_hs.simulation import Phase

# -- training half ------------------------------------------------------------------


def superalloy(rng, shape):
    """Gamma and gamma': both phases have all elements, cubes in a matrix."""
    y, x = np.indices(shape) / 16.0
    cubes = np.maximum(abs(np.sin(np.pi * y)), abs(np.sin(np.pi * x)))
    # the sum of weights is 1 but for rounding
    share = np.minimum(gaussian_filter((cubes > 0.45).astype(float), 0.7), 1.0)
    phases = [
        Phase(
            "gamma",
            {"Ni": 52, "Cr": 20, "Co": 14, "Al": 5, "Ti": 1, "W": 4, "Mo": 4},
            8.6,
            0.06,
        ),
        Phase(
            "gamma'",
            {"Ni": 68, "Cr": 3, "Co": 6, "Al": 16, "Ti": 5, "W": 1.5, "Mo": 0.5},
            8.2,
            0.06,
        ),
    ]
    maps = 90 * np.stack((1 - share, share), axis=-1)
    return Sample(phases, maps, counts=(4.0, 60.0))


def steel(rng, shape):
    """Ferrite with carbides and nitrides that cut through the foil or lie in it."""
    carbide = spheres(rng, shape, 12, (3, 7)) * 8
    nitride = spheres(rng, shape, 8, (2, 5)) * 8
    phases = [
        Phase("ferrite", {"Fe": 93, "Cr": 5, "Mn": 1.2, "Si": 0.8}, 7.8, 0.05),
        Phase("carbide", {"Cr": 45, "Fe": 30, "C": 20, "Mo": 5}, 7.0, 0.06),
        Phase("nitride", {"V": 45, "N": 48, "Cr": 7}, 6.1, 0.06),
    ]
    return Sample(phases, embedded(80, np.stack((carbide, nitride), -1)))


def cathode(rng, shape):
    """Particles of a battery cathode with a coating, in binder and carbon."""
    core = spheres(rng, shape, 5, (9, 13)) * 5
    coated = np.maximum(gaussian_filter(core, 1.2) - 0.6 * core, 0)
    phases = [
        Phase("binder", {"C": 75, "F": 25}, 1.8, 0.2),
        Phase("NMC", {"Ni": 20, "Mn": 7.5, "Co": 7.5, "O": 65}, 4.7, 0.06),
        Phase("coating", {"Al": 40, "O": 60}, 3.9, 0.08),
    ]
    maps = np.stack((np.full(shape, 60.0), core, coated), axis=-1)
    return Sample(phases, maps)


def oxide_scale(rng, shape):
    """Six layers: alloy, two inner oxides, spinel, chromia, platinum."""
    widths = rng.uniform(7, 13, 5)
    phases = [
        Phase("alloy", {"Fe": 55, "Ni": 25, "Cr": 20}, 7.9, 0.05),
        Phase("silica", {"Si": 33.3, "O": 66.7}, 2.2, 0.09),
        Phase("chromia", {"Cr": 40, "O": 60}, 5.2, 0.07),
        Phase("spinel", {"Fe": 14, "Cr": 22, "Mn": 7, "O": 57}, 4.9, 0.07),
        Phase("haematite", {"Fe": 40, "O": 60}, 5.2, 0.07),
        Phase("platinum", {"Pt": 100}, 21.0, 0.1),
    ]
    return Sample(phases, 80 * layers(shape, widths))


def gate_stack(rng, shape):
    """Six thin layers with lines of Si, Ta, W and Hf in one another."""
    phases = [
        Phase("silicon", {"Si": 100}, 2.33, 0.06),
        Phase("silica", {"Si": 33, "O": 67}, 2.2, 0.08),
        Phase("hafnia", {"Hf": 32, "O": 65, "Si": 3}, 9.5, 0.12),
        Phase("titanium nitride", {"Ti": 50, "N": 50}, 5.2, 0.06),
        Phase("tantalum nitride", {"Ta": 52, "N": 48}, 13.0, 0.12),
        Phase("tungsten", {"W": 100}, 19.0, 0.12),
    ]
    return Sample(phases, 60 * layers(shape, (20, 5, 4, 6, 5)), counts=(30.0, 200.0))


def age_hardened(rng, shape):
    """Precipitates that no pixel shows alone, in an aluminium alloy."""
    precipitates = spheres(rng, shape, 14, (3, 6)) * 6
    phases = [
        Phase("matrix", {"Al": 97.6, "Cu": 1.4, "Mg": 1.0}, 2.75, 0.06),
        Phase("precipitate", {"Al": 52, "Cu": 24, "Mg": 24}, 3.6, 0.06),
    ]
    return Sample(phases, embedded(100, precipitates), stray={}, counts=(30.0, 200.0))


def catalyst(rng, shape):
    """Particles of some pixels on carbon, at few counts."""
    metal = spheres(rng, shape, 30, (1.2, 2.6)) * 2
    support = 18 + 6 * gaussian_filter(rng.standard_normal(shape), 8) * 16
    phases = [
        Phase("carbon", {"C": 96, "O": 4}, 1.9, 0.2),
        Phase("metal", {"Pt": 60, "Co": 40}, 15.0, 0.12),
    ]
    maps = np.stack((np.maximum(support, 3), metal), axis=-1)
    return Sample(phases, maps, counts=(3.0, 10.0))


def minerals(rng, shape):
    """Six minerals as grains: a rock."""
    phases = [
        Phase("olivine", {"Mg": 24, "Fe": 4.6, "Si": 14.3, "O": 57.1}, 3.4, 0.06),
        Phase("enstatite", {"Mg": 18, "Fe": 2, "Si": 20, "O": 60}, 3.2, 0.06),
        Phase("diopside", {"Ca": 10, "Mg": 10, "Si": 20, "O": 60}, 3.3, 0.06),
        Phase("anorthite", {"Ca": 7.7, "Al": 15.4, "Si": 15.4, "O": 61.5}, 2.75, 0.06),
        Phase("chromite", {"Fe": 14.3, "Cr": 28.5, "O": 57.2}, 4.8, 0.06),
        Phase("pentlandite", {"Fe": 26, "Ni": 27, "S": 47}, 4.8, 0.06),
    ]
    return Sample(phases, 90 * grains(rng, shape, 6, 40))


# -- held-out half ------------------------------------------------------------------


def perovskite_stack(rng, shape):
    """Layers of a solar cell: glass, ITO, tin oxide, perovskite, organic, gold."""
    phases = [
        Phase("ITO", {"In": 36, "Sn": 4, "O": 60}, 7.1, 0.08),
        Phase("tin oxide", {"Sn": 33.3, "O": 66.7}, 6.9, 0.08),
        Phase("perovskite", {"Pb": 12, "I": 36, "C": 26, "N": 26}, 4.1, 0.1),
        Phase("organic", {"C": 92, "N": 4, "O": 4}, 1.2, 0.25),
        Phase("gold", {"Au": 100}, 19.0, 0.1),
    ]
    return Sample(phases, 70 * layers(shape, (14, 5, 22, 9)), counts=(4.0, 60.0))


def solder(rng, shape):
    """Solder joint with two intermetallics between copper and tin."""
    wave = 2.5 * np.sin(np.arange(shape[1]) / 5.0)
    flat = layers((2 * shape[0], 1), (shape[0] / 2 + 16, 8, 9), 0.5)[:, 0]
    rows = np.arange(shape[0])[:, None] + np.round(wave)[None].astype(int)
    maps = flat[np.clip(rows + shape[0] // 2, 0, 2 * shape[0] - 1)]
    phases = [
        Phase("copper", {"Cu": 100}, 8.9, 0.05),
        Phase("Cu3Sn", {"Cu": 75, "Sn": 25}, 8.9, 0.06),
        Phase("Cu6Sn5", {"Cu": 52, "Sn": 45, "Ni": 3}, 8.3, 0.06),
        Phase("solder", {"Sn": 96, "Ag": 4}, 7.4, 0.07),
    ]
    return Sample(phases, 80 * maps, stray={"Mo": 0.02})


def nuclear_ceramic(rng, shape):
    """Four titanates of a waste form as grains, Ba and Ti in one another's lines."""
    phases = [
        Phase("hollandite", {"Ba": 6, "Al": 11, "Ti": 25, "O": 58}, 4.4, 0.07),
        Phase("zirconolite", {"Ca": 9, "Zr": 9, "Ti": 18, "O": 64}, 4.5, 0.07),
        Phase("perovskite", {"Ca": 18, "Nd": 2, "Ti": 20, "O": 60}, 4.2, 0.07),
        Phase("rutile", {"Ti": 33.3, "O": 66.7}, 4.2, 0.07),
    ]
    return Sample(phases, 80 * grains(rng, shape, 4, 30))


def graded_absorber(rng, shape):
    """Solid solution: In and Ga change with depth between two end members."""
    profile = np.clip(np.linspace(-0.2, 1.2, shape[0]), 0.05, 0.95)
    share = np.repeat(profile[:, None], shape[1], axis=1)
    phases = [
        Phase("CIS", {"Cu": 25, "In": 25, "Se": 50}, 5.8, 0.06),
        Phase("CGS", {"Cu": 25, "Ga": 25, "Se": 50}, 5.6, 0.06),
    ]
    maps = 80 * np.stack((share, 1 - share), axis=-1)
    return Sample(phases, maps, stray={"Mo": 0.03})


def bone(rng, shape):
    """Mineralised tissue in resin, with a vein of another phosphate."""
    mineral = 70 * gaussian_filter((rng.random(shape) < 0.4).astype(float), 2.5)
    vein = 40 * np.exp(-(((np.indices(shape)[1] - 40) / 2.5) ** 2))
    phases = [
        Phase("resin", {"C": 80, "O": 20}, 1.2, 0.25),
        Phase("apatite", {"Ca": 23, "P": 14, "O": 62, "Mg": 1}, 3.1, 0.07),
        Phase("whitlockite", {"Ca": 18, "Mg": 5, "P": 15, "O": 62}, 3.0, 0.07),
    ]
    maps = np.stack((np.full(shape, 60.0), mineral, vein), axis=-1)
    return Sample(phases, maps)


def interconnect(rng, shape):
    """Copper lines with a liner of tantalum and cobalt in a dielectric."""
    y, x = np.indices(shape)
    line = (abs((x % 21) - 10) < 5) & (y > 14)
    inner = (abs((x % 21) - 10) < 3.4) & (y > 16)
    core = gaussian_filter(inner.astype(float), 0.6)
    all_ = gaussian_filter(line.astype(float), 0.6)
    cap = gaussian_filter((y < 9).astype(float), 0.6)
    liner = np.maximum(all_ - core, 0)
    rest = np.maximum(1 - all_ - cap, 0)
    phases = [
        Phase("dielectric", {"Si": 25, "O": 55, "C": 20}, 1.6, 0.1),
        Phase("copper", {"Cu": 100}, 8.9, 0.05),
        Phase("liner", {"Ta": 60, "Co": 40}, 13.5, 0.1),
        Phase("cap", {"Si": 43, "N": 57}, 3.2, 0.08),
    ]
    maps = 60 * np.stack((rest, core, liner, cap), axis=-1)
    return Sample(phases, maps, stray={"Mo": 0.02}, counts=(20.0, 100.0))


def quantum_dots(rng, shape):
    """Shells around cores that are nowhere alone, on carbon, at few counts."""
    core = spheres(rng, shape, 9, (3.5, 5.0))
    shell = np.maximum(gaussian_filter(core, 1.5) * 1.2 - 0.4 * core, 0) * 2
    phases = [
        Phase("carbon", {"C": 100}, 2.0, 0.2),
        Phase("core", {"Cd": 50, "Se": 50}, 5.8, 0.09),
        Phase("shell", {"Zn": 50, "S": 50}, 4.1, 0.07),
    ]
    maps = np.stack((np.full(shape, 12.0), 2 * core, shell), axis=-1)
    return Sample(phases, maps, counts=(8.0, 60.0))


def meteorite(rng, shape):
    """Eight phases, of which some are rare."""
    phases = [
        Phase("forsterite", {"Mg": 28, "Fe": 0.6, "Si": 14.3, "O": 57.1}, 3.2, 0.06),
        Phase(
            "fayalitic olivine",
            {"Mg": 14, "Fe": 14.6, "Si": 14.3, "O": 57.1},
            3.8,
            0.06,
        ),
        Phase("albite", {"Na": 7.7, "Al": 7.7, "Si": 23.1, "O": 61.5}, 2.6, 0.06),
        Phase("spinel", {"Mg": 14.3, "Al": 28.6, "O": 57.1}, 3.6, 0.06),
        Phase("kamacite", {"Fe": 94, "Ni": 6}, 7.9, 0.05),
        Phase("troilite", {"Fe": 50, "S": 50}, 4.7, 0.06),
        Phase("apatite", {"Ca": 23, "P": 14, "O": 60, "Cl": 3}, 3.1, 0.06),
        Phase("ilmenite", {"Fe": 20, "Ti": 20, "O": 60}, 4.7, 0.06),
    ]
    return Sample(phases, 90 * grains(rng, shape, 8, 60), counts=(40.0, 200.0))


# -- fresh set: written after the held-out half had been seen --------------------------


def fuel_electrode(rng, shape):
    """Nickel and zirconia of a fuel cell, pores filled with resin."""
    phases = [
        Phase("nickel", {"Ni": 100}, 8.9, 0.06),
        Phase("zirconia", {"Zr": 28.6, "Y": 5.4, "O": 66}, 6.0, 0.1),
        Phase("resin", {"C": 88, "O": 12}, 1.2, 0.2),
    ]
    return Sample(phases, 100 * grains(rng, shape, 3, 24))


def cast_alloy(rng, shape):
    """Silicon and an iron compound in aluminium, some cut by the foil."""
    silicon = spheres(rng, shape, 10, (4, 8)) * 7
    compound = spheres(rng, shape, 7, (3, 7)) * 8
    phases = [
        Phase("aluminium", {"Al": 98.5, "Si": 1.5}, 2.7, 0.06),
        Phase("silicon", {"Si": 100}, 2.33, 0.06),
        Phase("compound", {"Al": 67, "Si": 17, "Fe": 16}, 3.5, 0.06),
    ]
    maps = embedded(100, np.stack((silicon, compound), axis=-1))
    return Sample(phases, maps)


def magnet(rng, shape):
    """Grains of a rare-earth magnet, and what lies in thin layers between them."""
    sharp = grains(rng, shape, 12, 12)
    boundary = np.clip(4 * (1 - sharp.max(axis=-1)), 0, 1)
    oxide = np.minimum(spheres(rng, shape, 6, (2, 4)) / 4, 1)
    boundary = boundary * (1 - oxide)
    phases = [
        Phase("hard magnet", {"Nd": 12.5, "Fe": 85, "Dy": 2.5}, 7.6, 0.08),
        Phase("boundary", {"Nd": 55, "Fe": 32, "Cu": 13}, 7.0, 0.09),
        Phase("oxide", {"Nd": 38, "Dy": 2, "O": 60}, 7.2, 0.1),
    ]
    rest = np.maximum(1 - boundary - oxide, 0)
    return Sample(phases, 70 * np.stack((rest, boundary, oxide), axis=-1), stray={})


def heterostructure(rng, shape):
    """Perovskite layers that share their elements, under platinum."""
    phases = [
        Phase("titanate", {"Sr": 20, "Ti": 20, "O": 60}, 5.1, 0.08),
        Phase("manganite", {"La": 14, "Sr": 6, "Mn": 20, "O": 60}, 6.4, 0.09),
        Phase("aluminate", {"La": 20, "Al": 20, "O": 60}, 6.5, 0.09),
        Phase("platinum", {"Pt": 100}, 21.0, 0.12),
    ]
    return Sample(phases, 70 * layers(shape, (24, 10, 8)), counts=(30.0, 200.0))


def glass_ceramic(rng, shape):
    """Nanocrystals that no pixel shows alone, in a glass."""
    crystals = spheres(rng, shape, 40, (2, 4)) * 7
    phases = [
        Phase("glass", {"Si": 22, "Al": 10, "Mg": 6, "Ti": 1, "O": 61}, 2.6, 0.07),
        Phase("crystal", {"Zr": 16, "Ti": 17, "O": 67}, 5.1, 0.09),
    ]
    return Sample(phases, embedded(110, crystals), stray={})


def supported_alloy(rng, shape):
    """Palladium in shells of gold, on titania: at few counts."""
    support = spheres(rng, shape, 6, (9, 14)) * 4
    core = spheres(rng, shape, 16, (2, 4)) * 4
    shell = np.maximum(gaussian_filter(core, 1.0) - 0.5 * core, 0)
    phases = [
        Phase("titania", {"Ti": 33.3, "O": 66.7}, 4.2, 0.07),
        Phase("palladium", {"Pd": 100}, 12.0, 0.1),
        Phase("gold", {"Au": 90, "Pd": 10}, 19.0, 0.12),
    ]
    return Sample(phases, np.stack((support, core, shell), axis=-1), counts=(8.0, 60.0))


def shale(rng, shape):
    """Five minerals of a sediment, two carbonates among them."""
    phases = [
        Phase("quartz", {"Si": 33.3, "O": 66.7}, 2.65, 0.07),
        Phase("calcite", {"Ca": 20, "C": 20, "O": 60}, 2.7, 0.08),
        Phase("dolomite", {"Ca": 10, "Mg": 10, "C": 20, "O": 60}, 2.85, 0.08),
        Phase("illite", {"K": 4, "Al": 14, "Si": 20, "Mg": 2, "O": 60}, 2.8, 0.07),
        Phase("pyrite", {"Fe": 33.3, "S": 66.7}, 5.0, 0.06),
    ]
    return Sample(phases, 100 * grains(rng, shape, 5, 35))


def thermoelectric(rng, shape):
    """Precipitates of strontium telluride in lead telluride."""
    precipitates = spheres(rng, shape, 12, (3, 6)) * 7
    phases = [
        Phase("lead telluride", {"Pb": 49, "Te": 50, "Sr": 1}, 8.2, 0.1),
        Phase("precipitate", {"Sr": 47, "Te": 50, "Pb": 3}, 5.0, 0.09),
    ]
    return Sample(phases, embedded(90, precipitates), stray={"Cu": 0.05})


# -- blind set: committed before it was run, and read since ---------------------------


def barrier_coating(rng, shape):
    """Bond coat of two phases, its oxides, and the ceramic above: six phases."""
    coat, alumina, spinel, ceramic = np.moveaxis(layers(shape, (24, 8, 5)), -1, 0)
    bond = grains(rng, shape, 2, 12) * coat[..., None]
    pegs = alumina * np.minimum(spheres(rng, shape, 16, (2, 4)) / 6, 1)
    phases = [
        Phase("gamma", {"Ni": 42, "Co": 25, "Cr": 25, "Al": 7.5, "Y": 0.5}, 8.1, 0.06),
        Phase("beta", {"Ni": 46, "Co": 11, "Cr": 7, "Al": 36}, 6.6, 0.06),
        Phase("alumina", {"Al": 40, "O": 60}, 3.95, 0.08),
        Phase("garnet", {"Y": 15, "Al": 25, "O": 60}, 4.55, 0.08),
        Phase("spinel", {"Ni": 10, "Co": 4, "Cr": 9, "Al": 20, "O": 57}, 4.8, 0.07),
        Phase("zirconia", {"Zr": 30.7, "Y": 2.6, "O": 66.7}, 6.0, 0.1),
    ]
    maps = [bond[..., 0], bond[..., 1], alumina - pegs, pegs, spinel, ceramic]
    return Sample(phases, 80 * np.stack(maps, axis=-1))


def hard_metal(rng, shape):
    """Grains of two carbides of W, Ta and Ti, films and pools of binder between."""
    cells = grains(rng, shape, 14, 14)
    pools = np.minimum(spheres(rng, shape, 5, (2, 5)) / 3, 1)
    binder = np.maximum(np.clip(3 * (1 - cells.max(axis=-1)), 0, 1), pools)
    solid = np.stack((cells[..., 4:].sum(-1), cells[..., :4].sum(-1)), axis=-1)
    phases = [
        Phase("tungsten carbide", {"W": 50, "C": 50}, 15.6, 0.1),
        Phase("cubic carbide", {"Ti": 28, "Ta": 9, "W": 13, "C": 50}, 9.8, 0.09),
        Phase("binder", {"Co": 88, "W": 7, "Cr": 5}, 9.3, 0.06),
    ]
    binder = binder[..., None]
    maps = np.concatenate(((1 - binder) * solid, binder), axis=-1)
    return Sample(phases, 60 * maps)


def sulphide_ore(rng, shape):
    """Sulphides and quartz, one of them as exsolution lamellae in another."""
    y, x = np.indices(shape)
    lamellae = np.sin(2 * np.pi * (x + 0.6 * y) / 12) > 0.4
    lamellae = np.minimum(gaussian_filter(lamellae.astype(float), 0.6), 1.0)
    host, *others = np.moveaxis(grains(rng, shape, 5, 22), -1, 0)
    phases = [
        Phase("chalcopyrite", {"Cu": 25, "Fe": 25, "S": 50}, 4.2, 0.06),
        Phase("bornite", {"Cu": 50, "Fe": 10, "S": 40}, 5.1, 0.06),
        Phase("sphalerite", {"Zn": 45, "Fe": 5, "S": 50}, 4.0, 0.06),
        Phase("galena", {"Pb": 50, "S": 50}, 7.6, 0.1),
        Phase(
            "tetrahedrite", {"Cu": 34, "Zn": 4, "Fe": 3, "Sb": 14, "S": 45}, 5.0, 0.08
        ),
        Phase("quartz", {"Si": 33.3, "O": 66.7}, 2.65, 0.07),
    ]
    maps = [host * (1 - lamellae), host * lamellae, *others]
    return Sample(phases, 80 * np.stack(maps, axis=-1), stray={"Ni": 0.03})


def fibre_composite(rng, shape):
    """Fibre, carbon interphase, matrix with silicon: all but the last have carbon."""
    y, x = np.indices(shape)
    radius = np.hypot(y + 20, x - 0.3 * shape[1])
    silicon = np.minimum(spheres(rng, shape, 9, (3, 6)) / 5, 1)
    outside = radius > 48
    sharp = [radius < 43, (radius >= 43) & ~outside, outside * (1 - silicon)]
    maps = np.stack([*sharp, outside * silicon], axis=-1).astype(float)
    phases = [
        Phase("fibre", {"Si": 37, "C": 49, "O": 14}, 2.55, 0.08),
        Phase("interphase", {"C": 97, "O": 3}, 2.0, 0.2),
        Phase("matrix", {"Si": 50, "C": 50}, 3.2, 0.07),
        Phase("silicon", {"Si": 100}, 2.33, 0.06),
    ]
    return Sample(phases, 100 * gaussian_filter(maps, (0.6, 0.6, 0)))


def dispersion_steel(rng, shape):
    """Oxide particles and carbides within a foil of steel, nowhere alone."""
    oxide = spheres(rng, shape, 30, (1.5, 3.5)) * 4
    carbide = spheres(rng, shape, 5, (3, 6)) * 4
    phases = [
        Phase("ferrite", {"Fe": 83.5, "Cr": 15, "W": 1, "Ti": 0.5}, 7.8, 0.05),
        Phase("oxide", {"Y": 18.2, "Ti": 18.2, "O": 63.6}, 5.0, 0.08),
        Phase("carbide", {"Cr": 48, "Fe": 28, "W": 3, "C": 21}, 7.2, 0.06),
    ]
    maps = embedded(60, np.stack((oxide, carbide), axis=-1))
    return Sample(phases, maps, counts=(30.0, 200.0))


def kesterite_cell(rng, shape):
    """Layers of S and Mo, whose lines coincide, about a graded absorber."""
    back, seam, absorber, buffer, window = np.moveaxis(
        layers(shape, (10, 4, 28, 4)), -1, 0
    )
    depth = np.clip((np.arange(shape[0]) - 12) / 30, 0.05, 0.95)[:, None]
    phases = [
        Phase("molybdenum", {"Mo": 100}, 10.2, 0.08),
        Phase("seam", {"Mo": 34, "S": 14, "Se": 52}, 6.6, 0.08),
        Phase("selenide", {"Cu": 22, "Zn": 13.5, "Sn": 12, "Se": 52.5}, 5.6, 0.07),
        Phase("sulphide", {"Cu": 22, "Zn": 13.5, "Sn": 12, "S": 52.5}, 4.6, 0.07),
        Phase("buffer", {"Cd": 50, "S": 50}, 4.8, 0.08),
        Phase("window", {"Zn": 49, "Al": 1, "O": 50}, 5.6, 0.07),
    ]
    maps = [back, seam, absorber * (1 - depth), absorber * depth, buffer, window]
    return Sample(phases, 80 * np.stack(maps, axis=-1), stray={"Ni": 0.03})


def light_emitter(rng, shape):
    """Quantum wells that the beam blurs, a barrier and a contact, at few counts."""
    wells = (16, 2.5, 5, 2.5, 5, 2.5, 5, 2.5, 3, 5, 9)
    of_layer = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 2, 0, 3])
    maps = layers(shape, wells, 0.8) @ np.eye(4)[of_layer]
    phases = [
        Phase("GaN", {"Ga": 50, "N": 50}, 6.1, 0.07),
        Phase("well", {"In": 12.5, "Ga": 37.5, "N": 50}, 6.3, 0.08),
        Phase("barrier", {"Al": 10, "Ga": 40, "N": 50}, 5.5, 0.07),
        Phase("contact", {"In": 36, "Sn": 4, "O": 60}, 7.1, 0.08),
    ]
    return Sample(phases, 70 * maps, counts=(5.0, 60.0))


def aerosol(rng, shape):
    """Particles of sea salt in a sulphate, on a carbon film: at few counts."""
    salt = spheres(rng, shape, 10, (3.5, 6)) * 6
    droplet = np.maximum(1.4 * gaussian_filter(salt, 2.0) - 0.5 * salt, 0)
    phases = [
        Phase("film", {"C": 95, "O": 5}, 1.9, 0.2),
        Phase("salt", {"Na": 46, "Cl": 50, "Mg": 4}, 2.2, 0.08),
        Phase("sulphate", {"N": 27, "Na": 3, "S": 14, "O": 56}, 1.8, 0.1),
    ]
    maps = np.stack((np.full(shape, 25.0), salt, droplet), axis=-1)
    return Sample(phases, maps, counts=(4.0, 40.0))


# -- later set: committed before it was decomposed, and read since --------------------


def titanium_alloy(rng, shape):
    """Laths of alpha and beta: V and Ti, whose lines coincide, are in both."""
    y, x = np.indices(shape)
    angle = rng.uniform(0.2, 1.2)
    across = x * np.cos(angle) + y * np.sin(angle)
    wave = np.sin((x * np.sin(angle) - y * np.cos(angle)) / 15)
    beta = np.sin(2 * np.pi * (across + 1.5 * wave) / 17) > 0.6
    share = np.minimum(gaussian_filter(beta.astype(float), 0.7), 1)
    phases = [
        Phase("alpha", {"Ti": 87, "Al": 11.4, "V": 1.6}, 4.4, 0.06),
        Phase("beta", {"Ti": 75.5, "Al": 5, "V": 17.5, "Fe": 2}, 4.6, 0.06),
    ]
    return Sample(phases, 100 * np.stack((1 - share, share), axis=-1))


def cement(rng, shape):
    """Clinker in its hydrates, of which the most abundant is porous."""
    y, x = np.indices(shape)
    clinker = np.hypot(y - 0.2 * shape[0], x - 0.25 * shape[1]) < 0.3 * min(shape)
    clinker = np.minimum(gaussian_filter(clinker.astype(float), 0.8), 1)[..., None]
    cells = grains(rng, shape, 5, 25)
    hydrates = np.stack((cells[..., :3].sum(axis=-1), cells[..., 3], cells[..., 4]), -1)
    porous = 1 + 0.25 * np.tanh(6 * gaussian_filter(rng.standard_normal(shape), 3))
    maps = np.concatenate((clinker, hydrates * (1 - clinker)), axis=-1)
    maps[..., 1] *= porous
    phases = [
        Phase("alite", {"Ca": 33, "Si": 11, "Al": 0.5, "O": 55.5}, 3.15, 0.06),
        Phase("C-S-H", {"Ca": 20.5, "Si": 12, "Al": 0.8, "O": 66.7}, 2.1, 0.08),
        Phase("portlandite", {"Ca": 33.3, "O": 66.7}, 2.24, 0.08),
        Phase("ettringite", {"Ca": 14.6, "Al": 4.9, "S": 7.3, "O": 73.2}, 1.8, 0.08),
    ]
    return Sample(phases, 110 * maps)


def capacitor(rng, shape):
    """Nickel electrodes and a titanate, whose grains have shells with dysprosium."""
    above, titanate, below = np.moveaxis(layers(shape, (12, 38)), -1, 0)
    cells = grains(rng, shape, 12, 12)
    depth = gaussian_filter(cells, (1.5, 1.5, 0)).max(axis=-1)
    shell = np.minimum(gaussian_filter((depth < 0.86).astype(float), 0.7), 1)
    glass = np.minimum(spheres(rng, shape, 4, (2.5, 4)) / 5, 1)
    phases = [
        Phase("nickel", {"Ni": 99, "O": 1}, 8.9, 0.06),
        Phase("core", {"Ba": 20, "Ti": 20, "O": 60}, 6.0, 0.08),
        Phase(
            "shell", {"Ba": 18.3, "Dy": 2.2, "Ti": 19, "Mg": 0.5, "O": 60}, 6.1, 0.08
        ),
        Phase("glass", {"Ba": 12, "Si": 20, "Dy": 3, "Ti": 2, "O": 63}, 4.2, 0.08),
    ]
    solid = [titanate * (1 - shell), titanate * shell]
    maps = [above + below, *(x * (1 - glass) for x in solid), titanate * glass]
    return Sample(phases, 80 * np.stack(maps, axis=-1))


def coated_conductor(rng, shape):
    """Superconductor with columns of zirconate within the foil, on two buffers."""
    oxide, buffer, conductor = np.moveaxis(layers(shape, (9, 9)), -1, 0)
    x = np.arange(shape[1])
    places, depths = rng.uniform(0, shape[1], 7), rng.uniform(7, 16, 7)
    columns = np.exp(-0.5 * ((x - places[:, None]) / 1.7) ** 2) * depths[:, None]
    columns = np.minimum(columns.sum(axis=0), 35) * conductor
    phases = [
        Phase("magnesia", {"Mg": 50, "O": 50}, 3.58, 0.07),
        Phase("manganite", {"La": 20, "Mn": 20, "O": 60}, 6.6, 0.09),
        Phase("conductor", {"Y": 7.7, "Ba": 15.4, "Cu": 23.1, "O": 53.8}, 6.3, 0.08),
        Phase("zirconate", {"Ba": 20, "Zr": 20, "O": 60}, 6.2, 0.09),
    ]
    maps = [60 * oxide, 60 * buffer, 60 * conductor - columns, columns]
    return Sample(phases, np.stack(maps, axis=-1), stray={"Mo": 0.02})


def silicon_anode(rng, shape):
    """Silicon in graphite after cycling, with what the electrolyte has left on it."""
    silicon = (spheres(rng, shape, 5, (8, 12)) > 0).astype(float)
    around = np.clip(gaussian_filter(silicon, 2.5) * 2.5, 0, 1)
    core = gaussian_filter(silicon, 0.7)
    interphase = np.maximum(around - core, 0)
    graphite = np.maximum(1 - core - interphase, 0)
    porous = 0.9 + 0.2 * np.tanh(8 * gaussian_filter(rng.standard_normal(shape), 4))
    phases = [
        Phase("graphite", {"C": 98, "O": 2}, 2.1, 0.2),
        Phase("silicon", {"Si": 93, "O": 7}, 2.2, 0.06),
        Phase("interphase", {"C": 30, "O": 34, "F": 28, "P": 5, "Si": 3}, 1.8, 0.12),
    ]
    maps = np.stack((graphite * porous, core, interphase), axis=-1)
    return Sample(phases, 90 * maps, counts=(5.0, 50.0))


def memory_cell(rng, shape):
    """Heater, chalcogenide and electrode of a memory: Sb and Te, Si and W coincide."""
    y, x = np.indices(shape)
    beside = abs(x - shape[1] // 2) > 0.17 * shape[1]
    top, upper = y < 12, (y >= 12) & (y < 32)
    of_pixel = np.where(top, 0, np.where(upper, 1, np.where(beside, 3, 2)))
    of_pixel = np.where(beside & (y >= 52), 4, of_pixel)
    phases = [
        Phase("electrode", {"Ti": 49, "N": 51}, 5.2, 0.06),
        Phase("chalcogenide", {"Ge": 22, "Sb": 22, "Te": 56}, 6.2, 0.08),
        Phase("heater", {"W": 100}, 19.0, 0.12),
        Phase("nitride", {"Si": 43, "N": 57}, 3.0, 0.08),
        Phase("silica", {"Si": 33.3, "O": 66.7}, 2.2, 0.08),
    ]
    maps = gaussian_filter(np.eye(5)[of_pixel], (0.7, 0.7, 0))
    return Sample(phases, 60 * maps)


def stained_cell(rng, shape):
    """Iron oxide in a vesicle of a stained cell in resin: at few counts."""
    y, x = np.indices(shape)
    radius = np.hypot(y - 0.5 * shape[0], x - 0.5 * shape[1])
    ring = 0.36 * min(shape)
    membrane = 50 * np.exp(-0.5 * ((radius - ring) / 1.4) ** 2)
    oxide = spheres(rng, shape, 24, (1.5, 3)) * 4 * (radius < 0.9 * ring)
    phases = [
        Phase("section", {"C": 79, "O": 14, "N": 6, "P": 0.5, "S": 0.5}, 1.2, 0.25),
        Phase("membrane", {"C": 64, "O": 23, "N": 4, "P": 2, "Os": 7}, 2.0, 0.2),
        Phase("oxide", {"Fe": 43, "O": 57}, 5.0, 0.07),
    ]
    maps = embedded(70, np.stack((membrane, oxide), axis=-1))
    return Sample(phases, maps, counts=(4.0, 40.0))


def corroded_glass(rng, shape):
    """Glass, the gel that water makes of it, which sodium leaves, and clay."""
    glass, gel, clay = np.moveaxis(layers(shape, (22, 24), 2.5), -1, 0)
    flaky = 0.75 + 0.25 * np.tanh(5 * gaussian_filter(rng.standard_normal(shape), 2))
    phases = [
        Phase(
            "glass",
            {"Si": 20, "Na": 8.4, "Al": 2.5, "Ca": 1.9, "Zr": 0.6, "O": 66.6},
            2.5,
            0.07,
        ),
        Phase(
            "gel",
            {"Si": 26.5, "Na": 0.6, "Al": 3.4, "Ca": 1.5, "Zr": 0.8, "O": 67.2},
            2.0,
            0.08,
        ),
        Phase(
            "clay", {"Mg": 14.5, "Si": 17.5, "Al": 3.5, "Ca": 0.5, "O": 64}, 2.3, 0.08
        ),
    ]
    maps = np.stack((glass, gel, clay * flaky), axis=-1)
    return Sample(phases, 100 * maps)


# -- last set: committed before it was decomposed, and read since ---------------------


def magnetic_particles(rng, shape):
    """Magnetite in shells of silica, on a carbon film: at few counts."""
    core, shell = coated_spheres(rng, shape, 9, (4, 6), 3)
    phases = [
        Phase("film", {"C": 98, "O": 2}, 1.9, 0.2),
        Phase("magnetite", {"Fe": 42.9, "O": 57.1}, 5.1, 0.06),
        Phase("silica", {"Si": 33.3, "O": 66.7}, 2.0, 0.08),
    ]
    maps = np.stack((np.full(shape, 15.0), 2 * core, 2 * shell), axis=-1)
    return Sample(phases, maps, counts=(8.0, 60.0))


def transistor(rng, shape):
    """Silicon germanium in silicon, its contacts, and the gates beside them."""
    y, x = np.indices(shape)
    apart = abs((x + rng.integers(24)) % 24 - 12)
    above, pocket = y < 34, apart + 0.35 * abs(y - 43) < 8.5
    of_pixel = np.where(above, 1, 0)
    of_pixel[above & (y >= 10) & (apart > 6)] = 2
    of_pixel[above & (y >= 16) & (apart > 9)] = 3
    of_pixel[above & (apart < 4)] = 3
    of_pixel[above & (y >= 30) & (apart < 6)] = 4
    of_pixel[~above & (y < 54) & pocket] = 5
    phases = [
        Phase("silicon", {"Si": 100}, 2.33, 0.06),
        Phase("oxide", {"Si": 33.3, "O": 66.7}, 2.2, 0.08),
        Phase("spacer", {"Si": 43, "N": 57}, 3.0, 0.08),
        Phase("tungsten", {"W": 100}, 19.0, 0.12),
        Phase("silicide", {"Ni": 47, "Pt": 3, "Si": 50}, 6.2, 0.06),
        Phase("silicon germanium", {"Si": 65, "Ge": 35}, 3.4, 0.06),
    ]
    maps = gaussian_filter(np.eye(6)[of_pixel], (0.7, 0.7, 0))
    return Sample(phases, 60 * maps, stray={"Mo": 0.02})


def cladding(rng, shape):
    """Oxide on a zirconium alloy, a deposit on it, and particles within the foil."""
    y, x = np.indices(shape)
    front = 32 + 3 * np.sin(x / 6 + rng.uniform(0, 6))
    of_pixel = np.where(y < 9, 0, np.where(y < front, 1, 2))
    particles = spheres(rng, shape, 12, (2.5, 5)) * 9
    particles *= gaussian_filter((y > 11).astype(float), 0.7)
    rest, particles = np.moveaxis(embedded(90, particles), -1, 0)
    phases = [
        Phase("deposit", {"Ni": 14, "Fe": 29, "O": 57}, 5.2, 0.07),
        Phase("oxide", {"Zr": 33.1, "Sn": 0.4, "O": 66.5}, 5.7, 0.1),
        Phase("alloy", {"Zr": 97.9, "Sn": 1.1, "O": 1}, 6.5, 0.09),
        Phase("particle", {"Zr": 33.3, "Fe": 42.7, "Cr": 24}, 7.3, 0.07),
    ]
    host = gaussian_filter(np.eye(3)[of_pixel], (0.7, 0.7, 0)) * rest[..., None]
    return Sample(phases, np.concatenate((host, particles[..., None]), axis=-1))


def solid_electrolyte(rng, shape):
    """Cathode, what has formed between it and a garnet, and grains within the garnet.

    Lithium is left out: no detector counts it.
    """
    y, x = np.indices(shape)
    front = 24 + 2.5 * np.sin(x / 5 + rng.uniform(0, 6))
    of_pixel = np.where(y < front, 0, np.where(y < front + 5, 1, 2))
    maps = gaussian_filter(np.eye(3)[of_pixel], (0.8, 0.8, 0))
    grain = np.minimum(spheres(rng, shape, 14, (2, 4)) / 5, 1) * maps[..., 2]
    maps[..., 2] -= grain
    phases = [
        Phase("cathode", {"Co": 33.3, "O": 66.7}, 4.7, 0.06),
        Phase("interphase", {"La": 19, "Co": 19, "Zr": 2, "O": 60}, 7.0, 0.08),
        Phase("garnet", {"La": 17.6, "Zr": 8.2, "Ta": 3.5, "O": 70.7}, 5.2, 0.09),
        Phase("aluminate", {"La": 20, "Al": 20, "O": 60}, 6.5, 0.09),
    ]
    return Sample(phases, 70 * np.concatenate((maps, grain[..., None]), axis=-1))


def zeolite(rng, shape):
    """Clusters of platinum and tin in crystals of a zeolite: at few counts."""
    crystals = np.minimum(spheres(rng, shape, 7, (9, 15)) * 6, 90)
    clusters = spheres(rng, shape, 45, (1.2, 2.4)) * 2
    clusters *= gaussian_filter((crystals > 0).astype(float), 0.7)
    phases = [
        Phase("film", {"C": 97, "O": 3}, 1.9, 0.2),
        Phase("zeolite", {"Si": 31.5, "Al": 1.8, "O": 66.7}, 1.8, 0.09),
        Phase("clusters", {"Pt": 72, "Sn": 28}, 15.0, 0.12),
    ]
    maps = np.stack((np.full(shape, 12.0), crystals, clusters), axis=-1)
    return Sample(phases, maps, counts=(5.0, 40.0))


def tooth_filling(rng, shape):
    """Enamel, resin that holds to it, and a composite with two fillers."""
    y, x = np.indices(shape)
    enamel = (y < 22 + 2 * np.sin(x / 4 + rng.uniform(0, 6))).astype(float)
    # weights sum to 1 but for rounding
    enamel = np.minimum(gaussian_filter(enamel, 0.8), 1)
    filled = gaussian_filter((y > 30).astype(float), 1.0)
    glass = spheres(rng, shape, 26, (2.5, 6)) * 16 * filled
    fluoride = spheres(rng, shape, 12, (2, 4)) * 16 * filled
    composite = embedded(100, np.stack((glass, fluoride), axis=-1))
    phases = [
        Phase("enamel", {"Ca": 23, "P": 14, "Na": 0.7, "O": 62.3}, 2.95, 0.07),
        Phase("resin", {"C": 74, "O": 25, "N": 1}, 1.2, 0.25),
        Phase("glass", {"Si": 22, "Ba": 5, "Al": 6, "O": 67}, 3.0, 0.08),
        Phase("fluoride", {"Yb": 25, "F": 75}, 8.2, 0.1),
    ]
    maps = (100 * enamel[..., None], composite * (1 - enamel)[..., None])
    return Sample(phases, np.concatenate(maps, axis=-1))


def high_entropy_alloy(rng, shape):
    """Two phases of a spinodal in a wedge: both have all elements."""
    noise = rng.standard_normal(shape)
    waves = gaussian_filter(noise, 2.2) - gaussian_filter(noise, 4.4)
    share = np.minimum(gaussian_filter((waves > 0).astype(float), 0.8), 1)
    wedge = np.linspace(55, 105, shape[1])[None, :, None]
    phases = [
        Phase("ordered", {"Al": 28, "Ni": 30, "Co": 22, "Fe": 13, "Cr": 7}, 6.6, 0.06),
        Phase(
            "disordered", {"Cr": 38, "Fe": 34, "Co": 16, "Ni": 8, "Al": 4}, 7.4, 0.06
        ),
    ]
    return Sample(phases, wedge * np.stack((share, 1 - share), axis=-1))


def asteroid(rng, shape):
    """Hydrated matrix of an asteroid, with magnetite, sulphide, carbonate, organics."""
    shares = [
        np.minimum(spheres(rng, shape, number, radii) / radii[0], 1)
        for number, radii in ((2, (9, 12)), (14, (2.5, 4)), (8, (3, 5)), (9, (2, 3.5)))
    ]
    rest, maps = np.ones(shape), []
    for share in map(lambda one: gaussian_filter(one, 0.6), shares):
        maps.append(rest * share)
        rest = rest - maps[-1]
    porous = 0.9 + 0.15 * np.tanh(6 * gaussian_filter(rng.standard_normal(shape), 3))
    phases = [
        Phase(
            "phyllosilicate",
            {"Mg": 16.5, "Fe": 4.5, "Si": 16, "Al": 1.2, "O": 61.8},
            2.5,
            0.08,
        ),
        Phase("dolomite", {"Ca": 9.5, "Mg": 9, "Fe": 1.5, "C": 20, "O": 60}, 2.9, 0.08),
        Phase("magnetite", {"Fe": 42.9, "O": 57.1}, 5.2, 0.06),
        Phase("pyrrhotite", {"Fe": 46, "Ni": 0.8, "S": 53.2}, 4.6, 0.06),
        Phase("organic", {"C": 82, "O": 13, "N": 4, "S": 1}, 1.3, 0.2),
    ]
    return Sample(phases, 100 * np.stack((rest * porous, *maps), axis=-1))


# -- final set: committed before it was decomposed, and read since --------------------


def cobalt_magnet(rng, shape):
    """Cells of a samarium cobalt magnet and the thin walls between: both have all."""
    cells = grains(rng, shape, 14, 14)
    walls = np.clip(4 * (1 - cells.max(axis=-1)), 0, 1)
    phases = [
        Phase("cell", {"Sm": 10.6, "Co": 56, "Fe": 29, "Cu": 2.4, "Zr": 2}, 8.4, 0.06),
        Phase("wall", {"Sm": 16, "Co": 56, "Fe": 8, "Cu": 18.5, "Zr": 1.5}, 8.4, 0.06),
    ]
    maps = 80 * np.stack((1 - walls, walls), axis=-1)
    return Sample(phases, maps, stray={"Mo": 0.02}, counts=(8.0, 80.0))


def copper_alloy(rng, shape):
    """Two silicides that no pixel shows alone, in a copper alloy for connectors."""
    nickel = spheres(rng, shape, 16, (2.5, 4.5)) * 6
    chromium = spheres(rng, shape, 5, (3, 6)) * 6
    phases = [
        Phase("matrix", {"Cu": 97.5, "Ni": 1.6, "Si": 0.7, "Cr": 0.2}, 8.9, 0.05),
        Phase("nickel silicide", {"Ni": 65, "Si": 33, "Cu": 2}, 7.2, 0.06),
        Phase("chromium silicide", {"Cr": 73, "Si": 25, "Ni": 2}, 6.5, 0.06),
    ]
    maps = embedded(90, np.stack((nickel, chromium), axis=-1))
    return Sample(phases, maps, stray={"Mo": 0.02}, counts=(40.0, 200.0))


def ferroelectric_capacitor(rng, shape):
    """Two coats of a titanate, each graded, between electrodes: Pt, Ir and Zr coincide.

    Zirconium is left behind where a coat crystallises, so that it increases upwards.
    """
    above, lead, below, adhesion, oxide = np.moveaxis(
        layers(shape, (12, 27, 8, 3.5)), -1, 0
    )
    rows = np.arange(shape[0], dtype=float)
    upwards = 1 - ((rows - 11.5) / 13.5) % 1
    share = gaussian_filter(0.1 + 0.8 * upwards, 0.7)[:, None]
    phases = [
        Phase("iridium oxide", {"Ir": 33.3, "O": 66.7}, 11.5, 0.1),
        Phase("titanate", {"Pb": 20, "Zr": 6, "Ti": 14, "O": 60}, 7.7, 0.09),
        Phase("zirconate", {"Pb": 20, "Zr": 14, "Ti": 6, "O": 60}, 7.9, 0.09),
        Phase("platinum", {"Pt": 99, "Ti": 1}, 21.0, 0.12),
        Phase("titania", {"Ti": 33.3, "O": 66.7}, 4.1, 0.07),
        Phase("silica", {"Si": 33.3, "O": 66.7}, 2.2, 0.08),
    ]
    maps = [above, lead * (1 - share), lead * share, below, adhesion, oxide]
    return Sample(phases, 60 * np.stack(maps, axis=-1), counts=(40.0, 200.0))


def mxene(rng, shape):
    """Sheets of a carbide with titania on them, on a carbon film: at few counts."""
    y, x = np.indices(shape)
    sheets = np.zeros(shape)
    for _ in range(8):
        middle, angle = rng.random(2) * shape, rng.uniform(0, np.pi)
        along = (y - middle[0]) * np.sin(angle) + (x - middle[1]) * np.cos(angle)
        across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
        sheets += 8 * ((abs(along) < 17) & (abs(across) < rng.uniform(7, 13)))
    sheets = gaussian_filter(sheets, 0.6)
    titania = spheres(rng, shape, 34, (1.8, 3.5)) * 5 * (sheets > 4)
    phases = [
        Phase("film", {"C": 97, "O": 3}, 1.9, 0.2),
        Phase("carbide", {"Ti": 40, "C": 27, "O": 19, "F": 14}, 3.8, 0.08),
        Phase("titania", {"Ti": 33.3, "O": 66.7}, 3.9, 0.07),
    ]
    maps = np.stack((np.full(shape, 12.0), sheets, titania), axis=-1)
    return Sample(phases, maps, counts=(5.0, 50.0))


def phosphor(rng, shape):
    """Particles of a phosphor cut open, with a coating of alumina, in silicone."""
    core, coating = coated_spheres(rng, shape, 5, (7, 12), 3)
    cut = (core > 0).astype(float)
    coated = ((coating > 0) & (core == 0)).astype(float)
    cut, coated = (gaussian_filter(one, 0.6) for one in (cut, coated))
    # the sum of weights is 1 but for rounding
    rest = np.maximum(1 - cut - coated, 0)
    phases = [
        Phase("silicone", {"Si": 25, "O": 25, "C": 50}, 1.1, 0.15),
        Phase(
            "phosphor",
            {"Sr": 16, "Ba": 12, "Eu": 0.6, "Si": 14.3, "O": 57.1},
            4.9,
            0.08,
        ),
        Phase("alumina", {"Al": 40, "O": 60}, 3.2, 0.08),
    ]
    return Sample(phases, 100 * np.stack((rest, cut, coated), axis=-1))


def upconverter(rng, shape):
    """Fluoride cores that emit, in shells of another fluoride, at few counts."""
    core, shell = coated_spheres(rng, shape, 11, (4, 6), 2.2)
    phases = [
        Phase("film", {"C": 97, "O": 3}, 1.9, 0.2),
        Phase(
            "core", {"Na": 16.7, "Y": 13.3, "Yb": 3, "Er": 0.4, "F": 66.6}, 4.5, 0.09
        ),
        Phase("shell", {"Na": 16.7, "Gd": 16.7, "F": 66.6}, 5.6, 0.09),
    ]
    maps = np.stack((np.full(shape, 12.0), 3 * core, 3 * shell), axis=-1)
    return Sample(phases, maps, counts=(6.0, 60.0))


def oxygen_electrode(rng, shape):
    """Porous electrode, barrier and electrolyte of a fuel cell, and a seam of reaction.

    Pores are filled with resin.
    """
    electrode, barrier, seam, electrolyte = np.moveaxis(
        layers(shape, (28, 14, 3.5)), -1, 0
    )
    solid, pores = np.moveaxis(grains(rng, shape, 2, 18), -1, 0)
    phases = [
        Phase("resin", {"C": 86, "O": 14}, 1.2, 0.2),
        Phase("ferrite", {"La": 12, "Sr": 8, "Co": 4, "Fe": 16, "O": 60}, 6.2, 0.08),
        Phase("ceria", {"Ce": 30.5, "Gd": 3.4, "O": 66.1}, 7.2, 0.1),
        Phase("zirconate", {"Sr": 19, "La": 1, "Zr": 19, "Y": 1, "O": 60}, 5.5, 0.09),
        Phase("zirconia", {"Zr": 28.4, "Y": 5.2, "O": 66.4}, 6.0, 0.1),
    ]
    maps = [electrode * pores, electrode * solid, barrier, seam, electrolyte]
    return Sample(phases, 80 * np.stack(maps, axis=-1), counts=(40.0, 200.0))


def zoned_garnet(rng, shape):
    """Garnet that has lost manganese as it grew, in a rock of three more minerals."""
    y, x = np.indices(shape)
    middle = np.array(shape) * rng.uniform(0.42, 0.58, 2)
    radius = np.hypot(y - middle[0], x - middle[1]) / (0.42 * shape[0])
    garnet = gaussian_filter((radius < 1).astype(float), 0.7)
    # weights sum to 1 but for rounding
    garnet = np.minimum(garnet, 1)
    share = np.clip(1.15 * radius - 0.1, 0.03, 0.97)
    others = grains(rng, shape, 3, 20) * (1 - garnet)[..., None]
    phases = [
        Phase(
            "inner garnet",
            {"Mn": 9, "Fe": 4.5, "Ca": 1, "Mg": 0.5, "Al": 10, "Si": 15, "O": 60},
            4.2,
            0.06,
        ),
        Phase(
            "outer garnet",
            {"Fe": 9.5, "Mg": 4.2, "Ca": 1, "Mn": 0.3, "Al": 10, "Si": 15, "O": 60},
            4.1,
            0.06,
        ),
        Phase("quartz", {"Si": 33.3, "O": 66.7}, 2.65, 0.07),
        Phase(
            "biotite",
            {"K": 5, "Mg": 7, "Fe": 7, "Ti": 1, "Al": 6.5, "Si": 13.5, "O": 60},
            3.0,
            0.07,
        ),
        Phase("ilmenite", {"Fe": 19, "Mn": 1, "Ti": 20, "O": 60}, 4.7, 0.06),
    ]
    maps = np.stack((garnet * (1 - share), garnet * share), axis=-1)
    return Sample(phases, 100 * np.concatenate((maps, others), axis=-1))


# -- eighth set: committed before it was decomposed, and read since -------------------


def slag(rng, shape):
    """Six phases of a steelmaking slag, three oxides with iron and iron among them."""
    phases = [
        Phase("larnite", {"Ca": 28.3, "Si": 12.8, "P": 1.5, "O": 57.4}, 3.3, 0.07),
        Phase(
            "brownmillerite",
            {"Ca": 22.2, "Fe": 15.7, "Al": 5.3, "Ti": 1.2, "O": 55.6},
            3.75,
            0.06,
        ),
        Phase(
            "wustite", {"Fe": 29, "Mg": 12.5, "Mn": 6, "Ca": 2.5, "O": 50}, 5.0, 0.06
        ),
        Phase("lime", {"Ca": 45, "Fe": 3, "Mn": 1.5, "Mg": 0.5, "O": 50}, 3.4, 0.07),
        Phase("mayenite", {"Ca": 20.4, "Al": 23.7, "O": 55.9}, 2.7, 0.07),
        Phase("iron", {"Fe": 99.5, "Mn": 0.5}, 7.87, 0.05),
    ]
    return Sample(phases, 100 * grains(rng, shape, 6, 36))


def magnesium_alloy(rng, shape):
    """Two aluminides in a magnesium alloy, some cut by the foil."""
    aluminide = spheres(rng, shape, 12, (3, 8)) * 10
    manganese = spheres(rng, shape, 5, (3, 6)) * 10
    phases = [
        Phase("matrix", {"Mg": 94.3, "Al": 5.4, "Zn": 0.3}, 1.8, 0.07),
        Phase("Mg17Al12", {"Mg": 58, "Al": 40, "Zn": 2}, 2.1, 0.07),
        Phase("Al8Mn5", {"Al": 60, "Mn": 38, "Fe": 2}, 4.5, 0.06),
    ]
    return Sample(phases, embedded(140, np.stack((aluminide, manganese), axis=-1)))


def tunnel_junction(rng, shape):
    """Magnets of a memory, thin ruthenium and magnesia between: Mn, Fe, Co coincide.

    Boron is left out: too little of it is counted.
    """
    widths = (16, 6, 2.2, 7, 3, 5, 12)
    of_layer = np.array([0, 1, 2, 3, 4, 3, 5, 2])
    phases = [
        Phase("antiferromagnet", {"Pt": 50, "Mn": 50}, 12.5, 0.1),
        Phase("pinned magnet", {"Co": 70, "Fe": 30}, 8.5, 0.06),
        Phase("ruthenium", {"Ru": 100}, 12.4, 0.09),
        Phase("soft magnet", {"Co": 25, "Fe": 75}, 7.9, 0.06),
        Phase("magnesia", {"Mg": 50, "O": 50}, 3.58, 0.07),
        Phase("tantalum", {"Ta": 100}, 16.6, 0.12),
    ]
    maps = layers(shape, widths, 0.8) @ np.eye(6)[of_layer]
    return Sample(phases, 40 * maps, counts=(30.0, 200.0))


def diode_laser(rng, shape):
    """Quantum well in a waveguide that is graded between well and cladding."""
    metal, contact, upper, above, well, below, lower = np.moveaxis(
        layers(shape, (8, 11, 13, 9, 2.5, 9), 0.6), -1, 0
    )
    # a third of the aluminium of the cladding is left beside the well
    apart = abs(np.arange(shape[0]) + 0.5 - 42.25)
    share = np.clip(1 / 3 + (apart - 1.25) / 13.5, 1 / 3, 1)[:, None]
    guide = above + below
    phases = [
        Phase("titanium", {"Ti": 100}, 4.5, 0.06),
        Phase("arsenide", {"Ga": 50, "As": 50}, 5.32, 0.07),
        Phase("cladding", {"Al": 30, "Ga": 20, "As": 50}, 4.4, 0.07),
        Phase("well", {"In": 10, "Ga": 40, "As": 50}, 5.5, 0.07),
    ]
    maps = [metal, contact + guide * (1 - share), upper + lower + guide * share, well]
    return Sample(phases, 80 * np.stack(maps, axis=-1), stray={"Cu": 0.02, "Mo": 0.02})


def plasmonic_particles(rng, shape):
    """Gold in shells of silver that have some gold, on a carbon film: at few counts."""
    core, shell = coated_spheres(rng, shape, 8, (5, 8), 3)
    phases = [
        Phase("film", {"C": 98, "O": 2}, 1.9, 0.2),
        Phase("gold", {"Au": 96, "Ag": 4}, 19.0, 0.12),
        Phase("silver", {"Ag": 92, "Au": 8}, 11.0, 0.1),
    ]
    maps = np.stack((np.full(shape, 15.0), 2 * core, 2 * shell), axis=-1)
    return Sample(phases, maps, counts=(8.0, 60.0))


def catalyst_layer(rng, shape):
    """Platinum on carbon in the ionomer of a fuel cell, and pores: at few counts."""
    carbon = np.minimum(spheres(rng, shape, 9, (9, 14)) * 1.5, 80)
    solid = (carbon > 0).astype(float)
    ionomer = 25 * np.clip(1.6 * gaussian_filter(solid, 2.5) - 0.4, 0, 0.6)
    platinum = spheres(rng, shape, 40, (1.2, 2)) * 1.5 * gaussian_filter(solid, 0.6)
    phases = [
        Phase("carbon", {"C": 98, "O": 2}, 1.9, 0.2),
        Phase("ionomer", {"C": 30.8, "F": 60.1, "O": 7.6, "S": 1.5}, 2.0, 0.15),
        Phase("platinum", {"Pt": 100}, 21.4, 0.12),
    ]
    maps = np.stack((carbon, ionomer, platinum), axis=-1)
    return Sample(phases, maps, counts=(3.0, 15.0))


def dichalcogenide(rng, shape):
    """Flakes of MoS2 with rims of WS2 on a membrane: Mo and S, W and Si coincide."""
    y, x = np.indices(shape)
    inner, outer = np.zeros(shape), np.zeros(shape)
    for _ in range(6):
        middle, turned = rng.random(2) * shape, rng.uniform(0, 2 * np.pi)
        angles = turned + 2 * np.pi / 3 * np.arange(3)
        apart = np.max(
            [(y - middle[0]) * np.sin(a) + (x - middle[1]) * np.cos(a) for a in angles],
            axis=0,
        )
        radius = rng.uniform(4, 7)
        # a later flake does not grow where there is one
        free = outer + inner == 0
        inner[free & (apart < radius)] = 6
        outer[free & (apart >= radius) & (apart < radius + rng.uniform(2.5, 4))] = 6
    flakes = gaussian_filter(np.stack((inner, outer), axis=-1), (0.6, 0.6, 0))
    phases = [
        Phase("membrane", {"Si": 45, "N": 55}, 3.0, 0.08),
        Phase("MoS2", {"Mo": 32, "W": 1.3, "S": 66.7}, 5.0, 0.08),
        Phase("WS2", {"W": 30.3, "Mo": 3, "S": 66.7}, 7.4, 0.1),
    ]
    maps = np.concatenate((np.full((*shape, 1), 20.0), flakes), axis=-1)
    return Sample(phases, maps, counts=(8.0, 60.0))


def silicon_nitride(rng, shape):
    """Wedge of a ceramic with glass where grains meet: Y and Si lie side by side."""
    cells = gaussian_filter(grains(rng, shape, 16, 16), (2.5, 2.5, 0)).max(axis=-1)
    silicide = np.minimum(spheres(rng, shape, 5, (2, 4)) / 4, 1)
    # films between two grains are thinner than a pixel, pockets between three are not
    glass = np.clip(5 * (0.56 - cells), 0, 1) * (1 - silicide)
    # weights sum to 1 but for rounding
    rest = np.maximum(1 - glass - silicide, 0)
    wedge = np.linspace(40, 140, shape[1])[None, :, None]
    phases = [
        Phase("nitride", {"Si": 40.7, "Al": 2.1, "O": 2.1, "N": 55.1}, 3.2, 0.08),
        Phase(
            "glass", {"Y": 15.2, "Si": 14.7, "Al": 8.7, "O": 54, "N": 7.4}, 3.8, 0.08
        ),
        Phase("silicide", {"Fe": 33.3, "Si": 66.7}, 4.9, 0.06),
    ]
    return Sample(phases, wedge * np.stack((rest, glass, silicide), axis=-1))


# -- ninth set: committed before it was decomposed; no choice may be made by it --------


def titanium_aluminide(rng, shape):
    """Wedge of lamellae, and grains with more chromium: all have all elements."""
    y, x = np.indices(shape)
    angle = rng.uniform(0.3, 1.2)
    across = x * np.cos(angle) + y * np.sin(angle)
    middles = rng.uniform(across.min(), across.max(), 8)
    lamella = abs(across[..., None] - middles) < rng.uniform(0.8, 2.5, 8)
    grain = spheres(rng, shape, 3, (5, 9)) > 0
    of_pixel = np.where(grain, 2, lamella.any(axis=-1))
    wedge = np.linspace(50, 120, shape[1])[None, :, None]
    phases = [
        Phase("gamma", {"Ti": 47.8, "Al": 48.4, "Cr": 1.8, "Nb": 2}, 3.9, 0.06),
        Phase("alpha2", {"Ti": 62, "Al": 34.5, "Cr": 1.7, "Nb": 1.8}, 4.2, 0.06),
        Phase("ordered beta", {"Ti": 52, "Al": 37.5, "Cr": 8.5, "Nb": 2}, 4.3, 0.06),
    ]
    maps = gaussian_filter(np.eye(3)[of_pixel], (0.7, 0.7, 0))
    return Sample(phases, wedge * maps, counts=(10.0, 80.0))


def maraging_steel(rng, shape):
    """Two intermetallics that no pixel shows alone, in an overaged steel."""
    nickel = spheres(rng, shape, 30, (2.5, 4.5)) * 2
    molybdenum = spheres(rng, shape, 12, (2.5, 4)) * 2
    phases = [
        Phase(
            "martensite",
            {"Fe": 74.5, "Ni": 14, "Co": 10.5, "Mo": 0.8, "Ti": 0.2},
            8.0,
            0.05,
        ),
        Phase("Ni3Ti", {"Ni": 71, "Ti": 19, "Fe": 5, "Mo": 4, "Co": 1}, 8.0, 0.06),
        Phase("Fe7Mo6", {"Fe": 46, "Mo": 39, "Co": 11, "Ni": 4}, 9.2, 0.07),
    ]
    maps = embedded(50, np.stack((nickel, molybdenum), axis=-1))
    return Sample(phases, maps, counts=(40.0, 200.0))


def composite_cathode(rng, shape):
    """Coated particles of an oxide cut open, in a sulphide with carbon and binder.

    Lithium is left out: no detector counts it.
    """
    core, coating = coated_spheres(rng, shape, 3, (11, 17), 2.5)
    carbon = spheres(rng, shape, 9, (3, 6)) > 0
    of_pixel = np.select([core > 0, coating > 0, carbon], [1, 2, 3])
    maps = gaussian_filter(np.eye(4)[of_pixel], (0.6, 0.6, 0))
    maps[..., 0] *= 0.9 + 0.15 * np.tanh(
        6 * gaussian_filter(rng.standard_normal(shape), 3)
    )
    phases = [
        Phase("sulphide", {"P": 14.3, "S": 71.4, "Cl": 14.3}, 1.9, 0.08),
        Phase("oxide", {"Ni": 26.7, "Co": 3.3, "Mn": 3.3, "O": 66.7}, 4.7, 0.06),
        Phase("niobate", {"Nb": 25, "O": 75}, 4.6, 0.09),
        Phase("carbon and binder", {"C": 88, "F": 12}, 1.7, 0.2),
    ]
    return Sample(phases, 100 * maps, counts=(6.0, 60.0))


def telluride_cell(rng, shape):
    """Front of a solar cell, whose absorber loses selenium with depth."""
    barrier, contact, window, absorber = np.moveaxis(
        layers(shape, (6, 16, 5), 0.6), -1, 0
    )
    depth = np.arange(shape[0]) + 0.5 - 27
    share = np.clip(0.5 - 0.5 * np.tanh((depth - 12) / 9), 0.02, 0.98)[:, None]
    phases = [
        Phase("silica", {"Si": 33.3, "O": 66.7}, 2.2, 0.08),
        Phase("tin oxide", {"Sn": 33, "O": 66, "F": 1}, 6.9, 0.08),
        Phase("window", {"Zn": 40, "Mg": 10, "O": 50}, 5.2, 0.07),
        Phase("selenide telluride", {"Cd": 50, "Se": 18, "Te": 32}, 5.8, 0.08),
        Phase("telluride", {"Cd": 50, "Te": 50}, 5.85, 0.08),
    ]
    maps = [barrier, contact, window, absorber * share, absorber * (1 - share)]
    return Sample(phases, 90 * np.stack(maps, axis=-1), stray={"Mo": 0.02, "Ga": 0.01})


def flash_memory(rng, shape):
    """Gate of a memory in its liners, and the films up to the channel: Si and W."""
    y, x = np.indices(shape)
    # from the tungsten, whose liners are between it and oxide on two sides
    apart = np.maximum(y - 20, x - 0.45 * shape[1])
    trap, channel = (y >= 32) & (y < 38), (y >= 43) & (y < 51)
    of_pixel = np.select(
        [apart < 0, apart < 2.5, apart < 5.5, trap, channel], [0, 1, 2, 3, 4], 5
    )
    phases = [
        Phase("tungsten", {"W": 100}, 19.0, 0.12),
        Phase("titanium nitride", {"Ti": 50, "N": 50}, 5.2, 0.06),
        Phase("alumina", {"Al": 40, "O": 60}, 3.6, 0.08),
        Phase("trap", {"Si": 43, "N": 54, "O": 3}, 3.0, 0.08),
        Phase("channel", {"Si": 100}, 2.33, 0.06),
        Phase("silica", {"Si": 33.3, "O": 66.7}, 2.2, 0.08),
    ]
    maps = gaussian_filter(np.eye(6)[of_pixel], (0.8, 0.8, 0))
    return Sample(phases, 50 * maps, counts=(30.0, 200.0))


def solder_bump(rng, shape):
    """Nickel with phosphorus, the phosphide and stannide on it, and a solder of tin."""
    y, x = np.indices(shape)
    front = 33 + 3 * np.sin(x / 4 + rng.uniform(0, 6))
    of_pixel = np.select([y < 14, y < 19, y < front], [0, 1, 2], 3)
    maps = gaussian_filter(np.eye(4)[of_pixel], (0.7, 0.7, 0))
    silver = np.minimum(spheres(rng, shape, 14, (2, 4)) / 3, 1) * maps[..., 3]
    maps[..., 3] -= silver
    phases = [
        Phase("nickel", {"Ni": 85.5, "P": 14.5}, 8.0, 0.06),
        Phase("phosphide", {"Ni": 74, "P": 24.5, "Sn": 1.5}, 7.7, 0.06),
        Phase("stannide", {"Cu": 33, "Ni": 22, "Sn": 45}, 8.4, 0.06),
        Phase("tin", {"Sn": 99.4, "Ag": 0.3, "Cu": 0.3}, 7.3, 0.07),
        Phase("Ag3Sn", {"Ag": 75, "Sn": 25}, 9.9, 0.08),
    ]
    maps = np.concatenate((maps, silver[..., None]), axis=-1)
    return Sample(phases, 90 * maps, stray={"Mo": 0.02, "Ga": 0.01})


def ruthenium_catalyst(rng, shape):
    """Particles of 2 nm and oxide beside them, on carbon: at few counts."""
    metal = spheres(rng, shape, 55, (1.6, 3)) * 0.5
    oxide = spheres(rng, shape, 7, (3.5, 6)) * 0.5
    support = 20 + 5 * np.tanh(8 * gaussian_filter(rng.standard_normal(shape), 6))
    phases = [
        Phase("carbon", {"C": 96, "O": 4}, 1.9, 0.2),
        Phase("alloy", {"Pt": 52, "Ru": 48}, 17.0, 0.12),
        Phase("oxide", {"Ru": 31, "O": 69}, 6.0, 0.09),
    ]
    maps = np.stack((support, metal, oxide), axis=-1)
    return Sample(phases, maps, counts=(3.0, 10.0))


def eclogite(rng, shape):
    """Seven minerals of a rock, of which two are small and rare."""
    rutile, apatite = (
        np.minimum(spheres(rng, shape, number, (2.5, 4.5)) / 3, 1) for number in (7, 4)
    )
    rutile, apatite = gaussian_filter(
        np.stack((rutile, apatite * (1 - rutile))), (0, 0.6, 0.6)
    )
    # weights sum to 1 but for rounding
    rest = np.maximum(1 - rutile - apatite, 0)[..., None]
    phases = [
        Phase(
            "garnet",
            {"Fe": 6.5, "Mg": 5, "Ca": 3.5, "Al": 10, "Si": 15, "O": 60},
            3.8,
            0.06,
        ),
        Phase(
            "omphacite",
            {"Na": 5, "Ca": 5, "Mg": 4, "Fe": 1, "Al": 5, "Si": 20, "O": 60},
            3.3,
            0.06,
        ),
        Phase("quartz", {"Si": 33.3, "O": 66.7}, 2.65, 0.07),
        Phase(
            "phengite",
            {"K": 5, "Al": 10.6, "Mg": 2.4, "Fe": 0.5, "Si": 18, "O": 63.5},
            2.85,
            0.07,
        ),
        Phase("kyanite", {"Al": 25, "Si": 12.5, "O": 62.5}, 3.65, 0.07),
        Phase("rutile", {"Ti": 33.3, "O": 66.7}, 4.25, 0.07),
        Phase("apatite", {"Ca": 23.8, "P": 14.3, "O": 57.1, "F": 4.8}, 3.2, 0.07),
    ]
    small = np.stack((rutile, apatite), axis=-1)
    maps = np.concatenate((grains(rng, shape, 5, 30) * rest, small), axis=-1)
    return Sample(phases, 100 * maps, counts=(25.0, 120.0))


Maker = Callable[[np.random.Generator, Shape], Sample]

TRAINING: tuple[Maker, ...] = (
    superalloy,
    steel,
    cathode,
    oxide_scale,
    gate_stack,
    age_hardened,
    catalyst,
    minerals,
)
HELD_OUT: tuple[Maker, ...] = (
    perovskite_stack,
    solder,
    nuclear_ceramic,
    graded_absorber,
    bone,
    interconnect,
    quantum_dots,
    meteorite,
)
FRESH: tuple[Maker, ...] = (
    fuel_electrode,
    cast_alloy,
    magnet,
    heterostructure,
    glass_ceramic,
    supported_alloy,
    shale,
    thermoelectric,
)
BLIND: tuple[Maker, ...] = (
    barrier_coating,
    hard_metal,
    sulphide_ore,
    fibre_composite,
    dispersion_steel,
    kesterite_cell,
    light_emitter,
    aerosol,
)
LATER: tuple[Maker, ...] = (
    titanium_alloy,
    cement,
    capacitor,
    coated_conductor,
    silicon_anode,
    memory_cell,
    stained_cell,
    corroded_glass,
)
LAST: tuple[Maker, ...] = (
    magnetic_particles,
    transistor,
    cladding,
    solid_electrolyte,
    zeolite,
    tooth_filling,
    high_entropy_alloy,
    asteroid,
)
FINAL: tuple[Maker, ...] = (
    cobalt_magnet,
    copper_alloy,
    ferroelectric_capacitor,
    mxene,
    phosphor,
    upconverter,
    oxygen_electrode,
    zoned_garnet,
)
EIGHTH: tuple[Maker, ...] = (
    slag,
    magnesium_alloy,
    tunnel_junction,
    diode_laser,
    plasmonic_particles,
    catalyst_layer,
    dichalcogenide,
    silicon_nitride,
)
NINTH: tuple[Maker, ...] = (
    titanium_aluminide,
    maraging_steel,
    composite_cathode,
    telluride_cell,
    flash_memory,
    solder_bump,
    ruthenium_catalyst,
    eclogite,
)
# Each set with the seed of its samples, forward models and counts.
HALVES: dict[str, tuple[tuple[Maker, ...], int]] = {
    "training": (TRAINING, 20_001),
    "held_out": (HELD_OUT, 70_003),
    "fresh": (FRESH, 41_027),
    "blind": (BLIND, 96_013),
    "later": (LATER, 57_041),
    "last": (LAST, 83_059),
    "final": (FINAL, 62_071),
    "eighth": (EIGHTH, 48_017),
    "ninth": (NINTH, 29_033),
}
