"""Phases edited by hand: methods of the signal classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs.arguments import check_flag, check_mapping
from espm_hs.decomposition.edits import combined, refitted, renamed, with_phase
from espm_hs.decomposition.prior_knowledge import check_names
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.metadata.writer import read_options
from espm_hs.signals._regions import chosen_regions


class Edits(EDSSpectrum):
    """Edits the phases of a decomposition; part of `EDSespmSpectrum`."""

    analysis_results: Any
    _loadings: Any
    _replace: Any
    _results: Any
    _regions_by_themselves: Any

    def rename_phases(self, names: Mapping[Any, str]) -> None:
        """Give phases names, which tables, figures and files then show.

        Parameters
        ----------
        names
            Number or present name of a phase -> its name, "" or None to take it away;
            such as ``{0: "olivine"}``.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError, TypeError
            If there is no such phase, or two phases would have one name.

        See Also
        --------
        identify_phases : finds names, and gives them with ``rename=True``.

        Examples
        --------
        >>> s.rename_phases({0: "olivine"})
        >>> s.analysis_results().labels[0]
        'olivine'
        """
        found = self.analysis_results()
        check_mapping("names", names, "phases to names, such as {0: 'olivine'}")
        new = list(found.knowledge.names)
        for key, name in names.items():
            _check_text(f"names[{key!r}]", name)
            new[phase_number("names", key, found)] = (name or "").strip()
        self._name(new)

    def _name(self, names: Sequence[str]) -> None:
        """Give all phases their names, "" for those without one."""
        found = self._with_maps()
        check_names([name for name in names if name], "names")
        old = found.labels
        new = renamed(found, names, "").labels
        said = [f"{a} to {b}" for a, b in zip(old, new, strict=True) if a != b]
        if said:
            self._replace(renamed(found, names, f"renamed {', '.join(said)}"))

    def merge_phases(
        self, phases: Sequence[Any], name: str | None = None, refit: bool = False
    ) -> None:
        """Make one phase of several.

        It takes the place of the first of them, with the mean of their spectra and
        compositions; phases behind the others move up.

        Parameters
        ----------
        phases
            Numbers or names of two or more phases.
        name
            Of the merged phase. None: the first name that one of them has.
        refit
            Whether the fit goes on from there, with which the merged phase gets errors
            of its own. Otherwise they are an upper bound.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or its maps are gone.
        ValueError, TypeError
            If there are no such phases.
        """
        check_flag("refit", refit)
        found = self._with_maps(needed=True)
        some = _numbers("phases", phases, found, 2)
        first = min(some)
        groups = [[j] for j in range(found.n_phases) if j not in some or j == first]
        groups[first] = some
        said = f"merged {', '.join(found.labels[j] for j in some)}"
        merged = _named(combined(found, groups, said), first, name)
        self._keep(merged, refit)

    def reorder_phases(self, order: Sequence[Any]) -> None:
        """Give phases other numbers, and with them other colours.

        Parameters
        ----------
        order
            Present numbers or names of all phases in their new order.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError, TypeError
            If a phase is missing or there is no such phase.
        """
        found = self._with_maps()
        some = _numbers("order", order, found, 1)
        if len(some) < found.n_phases:
            raise ValueError(
                f"`order` has {len(some)} phases, and there are {found.n_phases}. Name "
                "all of them; `s.drop_phases([...])` takes some away."
            )
        said = f"reordered as {', '.join(found.labels[j] for j in some)}"
        self._replace(combined(found, [[j] for j in some], said))

    def drop_phases(self, phases: Sequence[Any], refit: bool = False) -> None:
        """Take phases out; the others are mapped anew and share their counts.

        Parameters
        ----------
        phases
            Numbers or names of phases, not all of them.
        refit
            Whether the spectra of the others are fitted again, too.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or its maps are gone.
        ValueError, TypeError
            If there are no such phases, or none would be left.
        """
        check_flag("refit", refit)
        found = self._with_maps(needed=True)
        some = _numbers("phases", phases, found, 1)
        groups = [[j] for j in range(found.n_phases) if j not in some]
        if not groups:
            raise ValueError(
                "`phases` names all of them, and one has to be left. Name those to "
                "drop: `s.drop_phases([1])`."
            )
        said = f"dropped {', '.join(found.labels[j] for j in some)}"
        self._keep(combined(found, groups, said), refit, maps=True)

    def split_phase(
        self, region: Any, name: str | None = None, refit: bool = False
    ) -> None:
        """Make a phase of what is in a region, beside those that there are.

        Its spectrum is that of the region, fitted by itself, and all phases are mapped
        anew. It is the last one.

        Parameters
        ----------
        region
            As ``roi`` in `quantify`: a ROI of HyperSpy or a boolean image.
        name
            Of the new phase. None: it has none.
        refit
            Whether all spectra are fitted again. What the new phase shares with others
            is separated by that alone.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or its maps are gone.
        ValueError, TypeError
            If the region makes no sense or has no counts, or another phase has the
            name.
        """
        check_flag("refit", refit)
        found = self._with_maps(needed=True)
        if found.knowledge.single_elements:
            raise ValueError(
                "The components are elements, and a region is none. Decompose into "
                "phases first, `s.decomposition(algorithm='espm', output_dimension=3)`."
            )
        if region is None:
            raise ValueError(
                "`region` is None; needed is a part of the map, a ROI of HyperSpy or a "
                "boolean image: `s.split_phase(hs.roi.CircleROI(10.0, 10.0, 3.0))`."
            )
        names, regions = chosen_regions(self, region, None)
        if len(names) > 1:
            raise ValueError(
                f"`region` holds {len(names)} regions, and one phase is made of one. "
                "Call `s.split_phase(region)` for each."
            )
        _check_text("name", name)
        (one,) = self._regions_by_themselves(found, names, regions)
        if one is None:
            raise ValueError("There are no counts in `region`: give another one.")
        label = f"phase {found.n_phases}" if name is None else name
        new = with_phase(found, one, regions.used, "", f"split {label} off")
        self._keep(_named(new, found.n_phases, name), refit, maps=True)

    def _with_maps(self, needed: bool = False) -> PhaseAnalysis:
        """Return the result with its loadings, which may have to be there."""
        found = self.analysis_results()
        try:
            return replace(found, loadings=self._loadings(found))
        except RuntimeError:
            if needed:
                raise
            return found

    def _keep(self, edited: PhaseAnalysis, refit: bool, maps: bool = False) -> None:
        """Fit an edited result again, or its maps alone, if need be, and store it."""
        options = read_options(self._results().get("options"))
        if refit or maps:
            edited = refitted(edited, self.data, options, maps_only=not refit)
        self._replace(edited)


def _check_text(argument: str, name: Any) -> None:
    """Raise TypeError for a name that is no text; None stands for none."""
    if not isinstance(name, str | None):
        raise TypeError(
            f"`{argument}` is {name!r}; needed is a text, such as 'olivine'."
        )


def _named(found: PhaseAnalysis, j: int, name: str | None) -> PhaseAnalysis:
    """Return a result in which a phase has a name, unless that is None."""
    if name is None:
        return found
    _check_text("name", name)
    names = [*found.knowledge.names]
    names[j] = name.strip()
    check_names([one for one in names if one], "name")
    return replace(found, knowledge=replace(found.knowledge, names=tuple(names)))


def phase_number(argument: str, key: Any, found: PhaseAnalysis) -> int:
    """Return the number of a phase that is named or numbered."""
    if isinstance(key, str) and key in found.labels:
        return found.labels.index(key)
    number = isinstance(key, Integral) and not isinstance(key, bool)
    if number and int(key) in range(found.n_phases):
        return int(key)
    raise ValueError(
        f"`{argument}` names phase {key!r}; there are {', '.join(found.labels)}, or "
        f"numbers from 0 to {found.n_phases - 1}."
    )


def _numbers(argument: str, keys: Any, found: PhaseAnalysis, least: int) -> list[int]:
    """Return the numbers of different phases."""
    listed = isinstance(keys, Sequence | np.ndarray) and not isinstance(keys, str)
    some = [phase_number(argument, key, found) for key in keys] if listed else []
    if len(some) < least or len(set(some)) < len(some):
        raise ValueError(
            f"`{argument}` is {keys!r}; needed is a list of {least} or more different "
            f"phases out of {', '.join(found.labels)}."
        )
    return some
