"""What users say of phases, checked and turned into constraints."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from espm_hs.decomposition.constraints import ELEMENTS, Knowledge, element_phases
from espm_hs.decomposition.self_consistency import settle_absorption
from espm_hs.factorization import fit_spectrum
from espm_hs.physics import SpectrumModel

KINDS = ("absent", "composition", "ratio", "spectrum", "map")
EXAMPLE = "{'core': {'composition': {'Fe': 0.16, 'Pt': 0.84}}}"
FIXED_EXAMPLE = "{0: {'Si': 0.0}}"
# Fractions that add up to 1 within this are all there is.
ROUNDING = 1e-6
# Counts as which a known spectrum is fitted, whatever its unit.
SCALE = 1e6


class _Told(NamedTuple):
    """What was said of a phase, and in which words."""

    argument: str
    key: Any
    kinds: Mapping

    def where(self, kind: str | None = None) -> str:
        """Name the place in the arguments, for messages."""
        inner = f"[{kind!r}]" if kind and self.argument == "known_phases" else ""
        return f"`{self.argument}[{self.key!r}]{inner}`"


def number_of_phases(n_phases, known_phases, model: SpectrumModel):
    """Return the number of phases, which elements as phases imply.

    Raises
    ------
    ValueError
        If another number is given for them.
    """
    if not are_elements(known_phases):
        return n_phases
    known = element_phases(model)
    if n_phases not in (None, known.n_phases):
        raise ValueError(
            f"`output_dimension` is {n_phases}, but known_phases='elements' makes "
            f"{known.n_phases} components: {', '.join(known.names)}. Leave it out."
        )
    return known.n_phases


def read_known_phases(
    known_phases,
    fixed_composition,
    model: SpectrumModel,
    n_phases: int,
    *,
    navigation: tuple[int, ...],
    pixels: np.ndarray | None,
    channels: np.ndarray,
) -> Knowledge:
    """Return the constraints that say what is known.

    Parameters
    ----------
    known_phases
        Phase number or name -> what is known, see `decompose`; "elements"; or
        constraints that were made before.
    fixed_composition
        Phase number -> {element: atomic fraction}, as ``composition`` there.
    model
        The physics.
    n_phases
        Number of phases.
    navigation
        Shape of the map.
    pixels, channels
        Boolean: the pixels of the map (None: all) and the channels in use.

    Raises
    ------
    ValueError, TypeError
        If something makes no sense.
    """
    if isinstance(known_phases, Knowledge):
        return known_phases
    if are_elements(known_phases):
        if fixed_composition:
            raise ValueError(
                "`fixed_composition` is given with known_phases='elements', in which "
                "each component is one element. Leave one of them out."
            )
        return element_phases(model)
    told = _by_number(known_phases, fixed_composition, n_phases)
    known = Knowledge.nothing(n_phases, len(model.columns))
    names, support = list(known.names), np.ones((np.prod(navigation), n_phases), bool)
    for j, one in told.items():
        names[j] = one.key.strip() if isinstance(one.key, str) else ""
        _check_kinds(one)
        known.fixed[:, j] = _fixed(one, model)
        if "ratio" in one.kinds:
            known.ties[j] = _tied(one, model, known.fixed[:, j])
        if "spectrum" in one.kinds:
            known.ties[j] = _spectrum(one, model, channels)
        if "map" in one.kinds:
            support[:, j] = _map(one, navigation, pixels)
    if support.all():
        return Knowledge(tuple(names), known.fixed, known.ties)
    _check_support(support if pixels is None else support[pixels])
    return Knowledge(tuple(names), known.fixed, known.ties, support)


def are_elements(known_phases) -> bool:
    """Whether the phases are to be elements."""
    return isinstance(known_phases, str) and known_phases == ELEMENTS


def _by_number(known_phases, fixed_composition, n_phases) -> dict[int, _Told]:
    """Sort what was said by phase; names take the numbers that are left, in order."""
    given = [
        _Told("known_phases", key, kinds)
        for key, kinds in _items("known_phases", known_phases, EXAMPLE)
    ]
    for key, fractions in _items("fixed_composition", fixed_composition, FIXED_EXAMPLE):
        given.append(_Told("fixed_composition", key, {"composition": fractions}))
    numbered: dict[int, _Told] = {}
    named = []
    for told in given:
        if isinstance(told.key, str) and told.argument == "known_phases":
            named.append(told)
            continue
        number = _number(told, n_phases)
        if number in numbered:
            raise ValueError(
                f"Phase {number} is in `known_phases` and in `fixed_composition`. Say "
                "all that is known of it in `known_phases`."
            )
        numbered[number] = told
    _check_names([told.key for told in named])
    left = [j for j in range(n_phases) if j not in numbered]
    if len(named) > len(left):
        raise ValueError(
            f"`known_phases` is about {len(given)} phases, but `output_dimension` is "
            f"{n_phases}. Raise it, or leave some out."
        )
    return numbered | dict(zip(left, named, strict=False))


def _items(argument, given, example):
    if given is None:
        return []
    if not isinstance(given, Mapping):
        other = " or 'elements'" if argument == "known_phases" else ""
        raise TypeError(
            f"`{argument}` must be a mapping such as {example}{other}; got {given!r}."
        )
    return given.items()


def _number(told, n_phases) -> int:
    key = told.key
    if not isinstance(key, Integral) or isinstance(key, bool):
        names = " or a name" if told.argument == "known_phases" else ""
        raise TypeError(
            f"`{told.argument}` names phase {key!r}; needed is a phase number{names}."
        )
    if key not in range(n_phases):
        raise ValueError(
            f"`{told.argument}` names phase {key}, but the phases are 0 to "
            f"{n_phases - 1}."
        )
    return int(key)


def _check_names(names) -> None:
    for name in names:
        if not name.strip() or name.strip().isdigit():
            raise ValueError(
                f"`known_phases` names a phase {name!r}. A name has letters; a phase "
                "number is an integer, without quotes."
            )
    alike = [name.strip().casefold() for name in names]
    if twice := sorted({name for name in alike if alike.count(name) > 1}):
        raise ValueError(f"`known_phases` has two phases of the name {twice[0]!r}.")


def _check_kinds(told) -> None:
    """Raise an error unless something is said that can be understood."""
    kinds = told.kinds
    if not isinstance(kinds, Mapping):
        raise TypeError(
            f"{told.where()} must be a mapping such as {{'absent': ['Fe']}}; got "
            f"{kinds!r}."
        )
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        what = f"has {unknown[0]!r}" if unknown else "says nothing"
        raise ValueError(f"{told.where()} {what}; needed is any of {', '.join(KINDS)}.")
    others = {"absent", "composition", "ratio"} & set(kinds)
    if "spectrum" in kinds and others:
        raise ValueError(
            f"{told.where()} has a spectrum, which says all of the composition. Leave "
            f"out {' and '.join(sorted(others))}, or the spectrum."
        )


def _fixed(told, model) -> np.ndarray:
    """Fractions and zeros of W in a phase, shape (n_columns,), NaN where free."""
    fixed = np.full(len(model.columns), np.nan)
    fractions = _fractions(told, model)
    gone = _absent(told, model)
    for symbol in gone:
        if fractions.get(symbol, 0.0) > 0:
            raise ValueError(
                f"{told.where('absent')} has {symbol}, but "
                f"{told.where('composition')} says that it makes "
                f"{fractions[symbol]:g} of the phase."
            )
    total = sum(fractions.values())
    if total > 1 + ROUNDING:
        raise ValueError(
            f"The fractions in {told.where('composition')} add up to {total:g}, but "
            "must not exceed 1."
        )
    if complete := total > 1 - ROUNDING:
        fractions = {symbol: x / total for symbol, x in fractions.items()}
        gone |= {symbol for symbol in model.elements if symbol not in fractions}
    gone |= {symbol for symbol, x in fractions.items() if x == 0}
    for i, column in enumerate(model.columns):
        if column.element in gone:
            fixed[i] = 0.0
        elif column.kind == "element" and column.element in fractions:
            fixed[i] = fractions[column.element]
    some_left = np.isnan(fixed[model.element_columns]).any()
    if total > 0 and not complete and not some_left:
        raise ValueError(
            f"The fractions in {told.where('composition')} add up to {total:g}, and no "
            "element is left to make up for the rest."
        )
    if not np.isnan(fixed).any() and not complete:
        raise ValueError(
            f"{told.where('absent')} leaves nothing that the phase could be made of."
        )
    return fixed


def _fractions(told, model) -> dict[str, float]:
    """Check the known atomic fractions."""
    composition = told.kinds.get("composition", {})
    where = told.where("composition")
    if not isinstance(composition, Mapping):
        raise TypeError(
            f"{where} must map elements to atomic fractions, such as "
            f"{{'Fe': 0.4, 'O': 0.6}}; got {composition!r}."
        )
    for symbol, fraction in composition.items():
        _check_symbol(where, symbol, model.elements)
        if not (_is_number(fraction) and 0 <= fraction <= 1):
            raise ValueError(
                f"{where} gives {symbol} the atomic fraction {fraction!r}; it must be "
                "between 0 and 1."
            )
    return {symbol: float(x) for symbol, x in composition.items()}


def _absent(told, model) -> set[str]:
    """Check the elements, also stray ones, that are not in a phase."""
    absent = told.kinds.get("absent", ())
    where = told.where("absent")
    if not isinstance(absent, (list, tuple, set, frozenset)):
        raise TypeError(f"{where} must be a list such as ['Fe', 'O']; got {absent!r}.")
    for symbol in absent:
        _check_symbol(where, symbol, (*model.elements, *model.stray_elements))
    return set(absent)


def _check_symbol(where, symbol, known) -> None:
    if symbol not in known:
        raise ValueError(
            f"{where} names {symbol!r}, which is not among the elements "
            f"{list(known)}. Add it with `s.add_elements([{symbol!r}])`."
        )


def _is_number(x) -> bool:
    return isinstance(x, Real) and not isinstance(x, bool)


def _tied(told, model, fixed) -> np.ndarray:
    """Ties of elements in known ratios, shape (n_columns, n_columns)."""
    where = told.where("ratio")
    example = "such as {'Fe/O': 0.75}"
    ratios = told.kinds["ratio"]
    if not isinstance(ratios, Mapping) or not ratios:
        raise TypeError(
            f"{where} must map pairs of elements to the ratio of their atoms, "
            f"{example}; got {ratios!r}."
        )
    rows = np.flatnonzero(model.element_columns).tolist()
    row_of = dict(zip(model.elements, rows, strict=True))
    ties = np.eye(len(model.columns))
    for pair, ratio in ratios.items():
        symbols = pair.split("/") if isinstance(pair, str) else ()
        if len(symbols) != 2:
            raise ValueError(f"{where} has {pair!r}; needed is a pair {example}.")
        for symbol in symbols:
            _check_symbol(where, symbol, model.elements)
            if not np.isnan(fixed[row_of[symbol]]):
                raise ValueError(
                    f"{where} is about {symbol}, of which the amount in this phase is "
                    "known already. Say it in one way only."
                )
        if not (_is_number(ratio) and 0 < ratio < np.inf):
            raise ValueError(
                f"{where} says that {pair} is {ratio!r}; it must be a number above 0. "
                "Elements that are not there are 'absent'."
            )
        _tie(ties, *(row_of[symbol] for symbol in symbols), float(ratio), where, pair)
    return ties


def _tie(ties, i, j, ratio, where, pair) -> None:
    """Let row i be so many times row j, in place, with all that is tied to them."""
    lead_i, lead_j = int(np.argmax(ties[i] > 0)), int(np.argmax(ties[j] > 0))
    if i == j:
        raise ValueError(f"{where} has {pair!r}, the ratio of an element to itself.")
    if lead_i == lead_j:
        raise ValueError(f"In {where}, {pair!r} follows from the others. Leave it out.")
    ties[:, lead_j] += ties[:, lead_i] * (ratio * ties[j, lead_j] / ties[i, lead_i])
    ties[:, lead_i] = 0.0


def _spectrum(told, model, channels) -> np.ndarray:
    """Tie of all columns to what the model finds in a spectrum."""
    where = told.where("spectrum")
    spectrum = np.asarray(told.kinds["spectrum"])
    if spectrum.dtype.kind not in "uif" or spectrum.shape != channels.shape:
        raise ValueError(
            f"{where} is of type {spectrum.dtype} and shape {spectrum.shape}; needed "
            f"are numbers of shape {channels.shape}, one for each channel."
        )
    counts = spectrum[channels].astype(float)
    if not np.isfinite(counts).all() or counts.min() < 0 or counts.sum() == 0:
        raise ValueError(
            f"{where} must be finite, not negative, and not all zero in the channels "
            "in use."
        )
    counts *= SCALE / counts.sum()
    if model.mass_thickness:
        model = settle_absorption(model, counts, channels)
    G = model.G[channels]
    weights, _ = fit_spectrum(G, counts)
    lead = np.argmax(weights * G.sum(axis=0))
    tie = np.zeros((weights.size, weights.size))
    tie[:, lead] = weights / weights[lead]
    return tie


def _map(told, navigation, pixels) -> np.ndarray:
    """Pixels of the whole map that may hold a phase, flat."""
    where = told.where("map")
    mask = np.asarray(told.kinds["map"])
    if mask.dtype != bool:
        raise ValueError(
            f"{where} is of type {mask.dtype}; needed is True where the phase may be, "
            "such as `image > threshold` or `labels == 2`."
        )
    if mask.shape != navigation:
        turned = mask.shape == navigation[::-1]
        hint = " It looks transposed: give its `.T`." if turned else ""
        raise ValueError(
            f"{where} has shape {mask.shape}; needed is {navigation}, that of "
            f"`s.data` without the energy axis.{hint}"
        )
    mask = mask.ravel()
    if not (mask if pixels is None else mask[pixels]).any():
        raise ValueError(
            f"{where} is True in none of the pixels in use: the phase would be nowhere."
        )
    return mask


def _check_support(support) -> None:
    """Raise ValueError if there are pixels in which no phase may be."""
    if bare := int((~support.any(axis=1)).sum()):
        raise ValueError(
            f"By the maps in `known_phases`, {bare} pixels hold no phase at all. Leave "
            "them out with `navigation_mask`, or raise `output_dimension` by a phase "
            "that may be everywhere."
        )
