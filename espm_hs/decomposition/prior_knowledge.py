"""What users say of phases, checked and turned into constraints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from espm_hs.arguments import check_mapping
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.factorization import fit_spectrum
from espm_hs.physics.linear_model import LinearModel

# The phases are elements, each by itself.
ELEMENTS = "elements"
KINDS = ("absent", "composition", "ratio", "spectrum", "map")
EXAMPLES = {
    "known_phases": "{'core': {'composition': {'Fe': 0.16, 'Pt': 0.84}}} or 'elements'",
    "fixed_composition": "{0: {'Si': 0.0}}",
}
# Fractions that add up to 1 within this are all there is.
ROUNDING = 1e-6
# Counts as which a known spectrum is fitted, whatever its unit.
SPECTRUM_COUNTS = 1e6


def are_elements(known_phases: Any) -> bool:
    """Whether the phases are to be elements."""
    return isinstance(known_phases, str) and known_phases == ELEMENTS


def number_of_elements(n_phases: int | None, model: LinearModel) -> int:
    """Return the number of phases where these are the elements of a model.

    Raises
    ------
    ValueError
        If another number is given for them.
    """
    known = Knowledge.single(model)
    if n_phases not in (None, known.n_phases):
        raise ValueError(
            f"`output_dimension` is {n_phases}, but known_phases='elements' makes "
            f"{known.n_phases} components: {', '.join(known.names)}. Leave it out."
        )
    return known.n_phases


def read_known_phases(
    known_phases: Mapping | str | Knowledge | None,
    fixed_composition: Mapping | None,
    model: LinearModel,
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
        The model.
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
        return Knowledge.single(model)
    known = Knowledge.nothing(n_phases, len(model.columns))
    names, support = list(known.names), np.ones((np.prod(navigation), n_phases), bool)
    statements = _by_number(known_phases, fixed_composition, n_phases)
    for j, one in statements.items():
        names[j] = one.key.strip() if isinstance(one.key, str) else ""
        one.check_kinds()
        known.fixed[:, j] = one.fixed(model)
        if "ratio" in one.kinds:
            known.ties[j] = one.ratio_ties(model, known.fixed[:, j])
        if "spectrum" in one.kinds:
            known.ties[j] = one.spectrum_tie(model, channels)
        if "map" in one.kinds:
            support[:, j] = one.support(navigation, pixels)
    used = support if pixels is None else support[pixels]
    if bare := int((~used.any(axis=1)).sum()):
        raise ValueError(
            f"By the maps in `known_phases`, {bare} pixels hold no phase at all. Leave "
            "them out with `navigation_mask`, or raise `output_dimension` by a phase "
            "that may be everywhere."
        )
    where = None if support.all() else support
    return Knowledge(tuple(names), known.fixed, known.ties, where)


@dataclass(frozen=True)
class _Statement:
    """What was said of a phase, and in which words.

    Parameters
    ----------
    argument
        Where it was said: "known_phases" or "fixed_composition".
    key
        Number or name of the phase, as given.
    kinds
        Kind of knowledge -> what is known.
    """

    argument: str
    key: Any
    kinds: Mapping

    def where(self, kind: str | None = None) -> str:
        """Name the place in the arguments, for messages."""
        inner = f"[{kind!r}]" if kind and self.argument == "known_phases" else ""
        return f"`{self.argument}[{self.key!r}]{inner}`"

    def number(self, n_phases: int) -> int:
        """Return the number of the phase, which is not named."""
        if not isinstance(self.key, Integral) or isinstance(self.key, bool):
            names = " or a name" if self.argument == "known_phases" else ""
            raise TypeError(
                f"`{self.argument}` names phase {self.key!r}; needed is a phase "
                f"number{names}."
            )
        if self.key not in range(n_phases):
            raise ValueError(
                f"`{self.argument}` names phase {self.key}, but the phases are 0 to "
                f"{n_phases - 1}."
            )
        return int(self.key)

    def check_kinds(self) -> None:
        """Raise an error unless something is said that can be understood."""
        kinds, where = self.kinds, self.where()
        if not isinstance(kinds, Mapping):
            raise TypeError(
                f"{where} must be a mapping such as {{'absent': ['Fe']}}; got "
                f"{kinds!r}."
            )
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            what = f"has {unknown[0]!r}" if unknown else "says nothing"
            raise ValueError(f"{where} {what}; needed is any of {', '.join(KINDS)}.")
        others = {"absent", "composition", "ratio"} & set(kinds)
        if "spectrum" in kinds and others:
            raise ValueError(
                f"{where} has a spectrum, which says all of the composition. Leave "
                f"out {' and '.join(sorted(others))}, or the spectrum."
            )

    def fixed(self, model: LinearModel) -> np.ndarray:
        """Return fractions and zeros of W, shape (n_columns,), NaN where free."""
        fractions, gone = self._fractions(model.elements), self._absent(model)
        where, absent = self.where("composition"), self.where("absent")
        for symbol in gone:
            if fractions.get(symbol, 0.0) > 0:
                raise ValueError(
                    f"{absent} has {symbol}, but {where} says that it makes "
                    f"{fractions[symbol]:g} of the phase."
                )
        total = sum(fractions.values())
        if total > 1 + ROUNDING:
            raise ValueError(
                f"The fractions in {where} add up to {total:g}, but must not exceed 1."
            )
        if complete := total > 1 - ROUNDING:
            fractions = {symbol: x / total for symbol, x in fractions.items()}
            gone |= {symbol for symbol in model.elements if symbol not in fractions}
        gone |= {symbol for symbol, x in fractions.items() if x == 0}
        rows, fixed = model.element_columns, np.full(len(model.columns), np.nan)
        for i, column in enumerate(model.columns):
            if column.element in gone:
                fixed[i] = 0.0
            elif rows[i] and column.element in fractions:
                fixed[i] = fractions[column.element]
        if total > 0 and not complete and not np.isnan(fixed[rows]).any():
            raise ValueError(
                f"The fractions in {where} add up to {total:g}, and no element is left "
                "to make up for the rest."
            )
        if not np.isnan(fixed).any() and not complete:
            raise ValueError(
                f"{absent} leaves nothing that the phase could be made of."
            )
        return fixed

    def _fractions(self, elements: Collection[str]) -> dict[str, float]:
        """Return the known atomic fractions."""
        composition = self.kinds.get("composition", {})
        where = self.where("composition")
        what = "elements to atomic fractions, such as {'Fe': 0.4, 'O': 0.6}"
        check_mapping(where.strip("`"), composition, what)
        for symbol, fraction in composition.items():
            _check_symbol(where, symbol, elements)
            if not (_is_number(fraction) and 0 <= fraction <= 1):
                raise ValueError(
                    f"{where} gives {symbol} the atomic fraction {fraction!r}; it must "
                    "be between 0 and 1."
                )
        return {symbol: float(x) for symbol, x in composition.items()}

    def _absent(self, model: LinearModel) -> set[str]:
        """Return what is not in the phase, of all that the columns name."""
        absent, where = self.kinds.get("absent", ()), self.where("absent")
        if not isinstance(absent, (list, tuple, set, frozenset)):
            raise TypeError(
                f"{where} must be a list such as ['Fe', 'O']; got {absent!r}."
            )
        named = [column.element for column in model.columns if column.element]
        known = list(dict.fromkeys(named))
        for symbol in absent:
            _check_symbol(where, symbol, known)
        return set(absent)

    def ratio_ties(self, model: LinearModel, fixed: np.ndarray) -> np.ndarray:
        """Return ties of elements in known ratios, shape (n_columns, n_columns)."""
        where, ratios = self.where("ratio"), self.kinds["ratio"]
        example = "such as {'Fe/O': 0.75}"
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
                        f"{where} is about {symbol}, of which the amount in this phase "
                        "is known already. Say it in one way only."
                    )
            if not (_is_number(ratio) and 0 < ratio < np.inf):
                raise ValueError(
                    f"{where} says that {pair} is {ratio!r}; it must be a number above "
                    "0. Elements that are not there are 'absent'."
                )
            i, j = (row_of[symbol] for symbol in symbols)
            if i == j:
                raise ValueError(
                    f"{where} has {pair!r}, the ratio of an element to itself."
                )
            # row i is so many times row j, with all that is tied to them
            lead_i, lead_j = np.argmax(ties[i] > 0), np.argmax(ties[j] > 0)
            if lead_i == lead_j:
                raise ValueError(
                    f"In {where}, {pair!r} follows from the others. Leave it out."
                )
            factor = float(ratio) * ties[j, lead_j] / ties[i, lead_i]
            ties[:, lead_j] += ties[:, lead_i] * factor
            ties[:, lead_i] = 0.0
        return ties

    def spectrum_tie(self, model: LinearModel, channels: np.ndarray) -> np.ndarray:
        """Return the tie of all columns to what the model finds in a spectrum."""
        where, spectrum = self.where("spectrum"), np.asarray(self.kinds["spectrum"])
        if spectrum.dtype.kind not in "uif" or spectrum.shape != channels.shape:
            raise ValueError(
                f"{where} is of type {spectrum.dtype} and shape {spectrum.shape}; "
                f"needed are numbers of shape {channels.shape}, one for each channel."
            )
        counts = spectrum[channels].astype(float)
        if not np.isfinite(counts).all() or counts.min() < 0 or counts.sum() == 0:
            raise ValueError(
                f"{where} must be finite, not negative, and not all zero in the "
                "channels in use."
            )
        counts *= SPECTRUM_COUNTS / counts.sum()
        G = self_consistent_model(model, counts, channels).G[channels]
        weights, _ = fit_spectrum(G, counts)
        lead = np.argmax(weights * G.sum(axis=0))
        tie = np.zeros((weights.size, weights.size))
        tie[:, lead] = weights / weights[lead]
        return tie

    def support(
        self, navigation: tuple[int, ...], pixels: np.ndarray | None
    ) -> np.ndarray:
        """Return the pixels of the whole map that may hold the phase, flat."""
        where, mask = self.where("map"), np.asarray(self.kinds["map"])
        if mask.dtype != bool:
            raise ValueError(
                f"{where} is of type {mask.dtype}; needed is True where the phase may "
                "be, such as `image > threshold` or `labels == 2`."
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
                f"{where} is True in none of the pixels in use: the phase would be "
                "nowhere."
            )
        return mask


def _by_number(
    known_phases: Any, fixed_composition: Any, n_phases: int
) -> dict[int, _Statement]:
    """Sort what was said by phase; names take the numbers that are left, in order."""
    given = []
    for argument, value in (
        ("known_phases", known_phases),
        ("fixed_composition", fixed_composition),
    ):
        if not isinstance(value, Mapping | None):
            raise TypeError(
                f"`{argument}` must be a mapping such as {EXAMPLES[argument]}; got "
                f"{value!r}."
            )
        for key, kinds in (value or {}).items():
            kinds = kinds if argument == "known_phases" else {"composition": kinds}
            given.append(_Statement(argument, key, kinds))
    numbered: dict[int, _Statement] = {}
    named = []
    for one in given:
        if isinstance(one.key, str) and one.argument == "known_phases":
            named.append(one)
            continue
        number = one.number(n_phases)
        if number in numbered:
            raise ValueError(
                f"Phase {number} is in `known_phases` and in `fixed_composition`. Say "
                "all that is known of it in `known_phases`."
            )
        numbered[number] = one
    check_names([one.key for one in named])
    left = [j for j in range(n_phases) if j not in numbered]
    if len(named) > len(left):
        raise ValueError(
            f"`known_phases` is about {len(given)} phases, but `output_dimension` is "
            f"{n_phases}. Raise it, or leave some out."
        )
    return numbered | dict(zip(left, named, strict=False))


def check_names(names: Sequence[str], argument: str = "known_phases") -> None:
    """Raise ValueError for names that are numbers, empty, or those of two phases."""
    for name in names:
        if not name.strip() or name.strip().isdigit():
            raise ValueError(
                f"`{argument}` names a phase {name!r}. A name has letters; a phase "
                "number is an integer, without quotes."
            )
    alike = [name.strip().casefold() for name in names]
    if twice := sorted({name for name in alike if alike.count(name) > 1}):
        raise ValueError(f"`{argument}` has two phases of the name {twice[0]!r}.")


def _check_symbol(where: str, symbol: Any, known: Collection[str]) -> None:
    if symbol not in known:
        raise ValueError(
            f"{where} names {symbol!r}, which is not among the elements "
            f"{list(known)}. Add it with `s.add_elements([{symbol!r}])`."
        )


def _is_number(x: Any) -> bool:
    return isinstance(x, Real) and not isinstance(x, bool)
