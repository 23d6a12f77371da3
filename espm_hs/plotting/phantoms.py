"""Gallery of the phantoms of `espm_hs.simulation`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from espm_hs.plotting.look import Look, rows_of_panels, size_of_rows, takes_look
from espm_hs.plotting.style import no_ticks, phase_colour
from espm_hs.simulation import phantoms

_SHAPE = (150, 200)


@takes_look("ax", "figsize")
def plot_phantoms(*, look: Look) -> Figure:
    """Plot an example of each phantom.

    Parameters
    ----------
    {look}

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each function of `espm_hs.simulation.phantoms`. The colour of a
        pixel is that of its phases, mixed by their shares; the less it holds, of
        thicknesses in nm, the paler it is. An image that was turned into maps stands
        in a corner of its panel.
    """
    examples = _examples()
    panels = [partial(_draw, name, *example) for name, example in examples.items()]
    size = size_of_rows(len(panels), 3, 3.6, 3.25)
    return look.draw(size, rows_of_panels(len(panels), 3), panels)


def _examples() -> dict[str, tuple]:
    """Return maps, names of the phases and images behind the maps, by function."""
    round_ones = phantoms.core_shell_particles(_SHAPE, _particles(), 0.5, support=6)
    grey = round_ones.sum(axis=-1)
    hills = [_hill(*place) for place in ((0.2, 0.2), (0.7, 0.4), (0.3, 0.8))]
    cut, whole = (0.36, 0.30, 0.29, 1.5), (0.62, 0.70, 0.32, 2.1)
    spheres = [phantoms.Sphere(*cut), phantoms.Sphere(*whole)]
    thickness = phantoms.wedge(_SHAPE, 5, 80)[..., None]
    labels = phantoms.random_fields(_SHAPE, 4, length=28, seed=3).argmax(axis=-1)
    ordinals = ("first", "second", "third", "fourth")
    return {
        "spheres_in_matrix": (
            phantoms.spheres_in_matrix(_SHAPE, spheres),
            ("matrix", "cut sphere", "whole sphere"),
        ),
        "core_shell_particles": (
            round_ones,
            ("film", "core", "shell"),
        ),
        "wedge": (
            phantoms.lamellae(_SHAPE, 2, 40, angle=90) * thickness,
            ("first, 5 to 80 nm", "second, 5 to 80 nm"),
        ),
        "grain_boundary": (
            phantoms.grain_boundary(_SHAPE, 6, 0.9, angle=25, ripple=9),
            ("first grain", "second grain", "boundary"),
        ),
        "lamellae": (
            phantoms.lamellae(_SHAPE, 3, 48, angle=-35, blur=2),
            ordinals[:3],
        ),
        "random_fields": (
            phantoms.random_fields(_SHAPE, 4, length=28, contrast=4, seed=5),
            ordinals,
        ),
        "maps_from_labels": (
            phantoms.maps_from_labels(labels, blur=1),
            ("label 0", "1", "2", "3"),
        ),
        "maps_from_image": (
            phantoms.maps_from_image(grey, n_phases=3),
            ("dark", "grey", "bright"),
            grey,
        ),
        "maps_from_arrays": (
            phantoms.maps_from_arrays(np.full(_SHAPE, 0.1), *hills),
            ("0.1", *ordinals[:3]),
            *hills,
        ),
    }


def _particles() -> list[phantoms.CoreShell]:
    """Return particles of several sizes, two of which overlap."""
    places = [
        (0.30, 0.22, 0.21, 0.75),
        (0.64, 0.50, 0.27, 0.80),
        (0.36, 0.66, 0.19, 0.70),
        (0.80, 0.17, 0.12, 0.70),
        (0.72, 0.84, 0.16, 0.75),
        (0.15, 0.88, 0.09, 0.65),
    ]
    return [phantoms.CoreShell(*place) for place in places]


def _hill(row: float, column: float) -> np.ndarray:
    """Image of a hill around a place in fractions of height and width."""
    y, x = np.indices(_SHAPE)
    squares = (y - row * _SHAPE[0]) ** 2 + (x - column * _SHAPE[1]) ** 2
    return np.exp(-20 * squares / _SHAPE[0] ** 2)


def _draw(name: str, maps: np.ndarray, labels: Sequence[str], *rest: Any) -> None:
    """Draw the maps as one image, the legend below, the sources in a corner."""
    *sources, axes = rest
    colours = [phase_colour(j) for j in range(maps.shape[-1])]
    axes.imshow(_composite(maps, colours), interpolation="nearest")
    axes.set_title(name, family="monospace", weight="bold", fontsize="medium")
    no_ticks(axes)
    pairs = zip(colours, labels, strict=True)
    axes.legend(
        handles=[Patch(color=colour, label=label) for colour, label in pairs],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(labels),
        frameon=False,
        fontsize="small",
        handlelength=0.9,
        handletextpad=0.4,
        columnspacing=1.0,
    )
    for i, source in enumerate(sources):
        inset = axes.inset_axes((0.015 + 0.25 * i, 0.02, 0.24, 0.24))
        inset.imshow(source, cmap="gray", aspect="auto")
        no_ticks(inset)
        for spine in inset.spines.values():
            spine.set(color="white", linewidth=1.2)


def _composite(maps: np.ndarray, colours: list[str]) -> np.ndarray:
    """Mix the colours of the phases, on white where there is less; (ny, nx, 3)."""
    total = maps.sum(axis=-1, keepdims=True)
    mixed = (maps / total) @ [to_rgb(colour) for colour in colours]
    return 1 - total / total.max() * (1 - mixed)
