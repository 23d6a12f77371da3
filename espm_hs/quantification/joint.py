"""What several maps that share their phases tell together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path as File
from typing import TYPE_CHECKING

import numpy as np

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.quantification.percent_with_errors import to_percent
from espm_hs.shown_table import ShownTable, data_frame

if TYPE_CHECKING:
    import pandas

    from espm_hs.decomposition.together import JointPhases

# A map holds a phase whose counts are so many standard errors above 0.
PRESENT = 4.0
_COLUMNS = (
    *("map", "parameter", "phase", "counts", "counts_error", "percent"),
    *("atomic_percent", "significance", "present"),
)


@dataclass(frozen=True, eq=False)
class JointResult(ShownTable):
    """Phases of several maps: how much of each is in which, and what they are made of.

    Parameters
    ----------
    maps, phases, elements
        Names. `espm_hs.plotting.plot_joint` draws the result.
    composition, errors
        At.% and standard errors from the counts of all maps, (n_elements, n_phases).
    counts, count_errors
        Counts of each phase in each map, with standard errors, (n_maps, n_phases). They
        are fitted to the sums of the maps, so that a phase that is not there has none
        on average, and may have less than none.
    atoms
        Atoms of each phase for one of its counts in each map, in units of their own for
        each map, (n_maps, n_phases).
    parameter, parameter_name
        What changes from map to map, such as a temperature, shape (n_maps,); numbers
        from 0 if nothing was said.
    paths
        Phase -> at.% and standard errors from map to map, (2, n_maps, n_elements), for
        phases that drift.
    deviance_ratios
        Of each map, shape (n_maps,).
    """

    maps: tuple[str, ...]
    phases: tuple[str, ...]
    elements: tuple[str, ...]
    composition: np.ndarray
    errors: np.ndarray
    counts: np.ndarray
    count_errors: np.ndarray
    atoms: np.ndarray
    parameter: np.ndarray
    parameter_name: str = "map"
    paths: Mapping[str, np.ndarray] = field(default_factory=dict)
    deviance_ratios: np.ndarray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(
        cls,
        found: JointPhases,
        maps: Sequence[str],
        parameter: Sequence[float] | np.ndarray | None = None,
        parameter_name: str = "map",
    ) -> JointResult:
        """Put together what `espm_hs.decomposition.together.decompose_maps` returns."""
        first = found.analyses[0]
        counts, errors = found.amounts
        percents = [to_percent(one) for one in found.analyses]
        order = [[symbols.index(e) for e in first.elements] for symbols, *_ in percents]
        # errors are those of all maps, and a phase may be missing in some
        most = counts.argmax(axis=0)
        chosen = [(i, j) for j, i in enumerate(most.tolist())]
        percent = [percents[i][1][order[i], j] for i, j in chosen]
        variance = [percents[i][2][order[i], j] for i, j in chosen]
        numbers = np.arange(len(maps)) if parameter is None else parameter
        return cls(
            tuple(maps),
            tuple(first.labels),
            tuple(first.elements),
            np.array(percent).T,
            np.sqrt(variance).T,
            counts,
            errors,
            np.array([one.atoms for one in found.analyses]),
            np.asarray(numbers, float),
            parameter_name,
            {
                first.labels[phase]: 100 * np.stack([path.fractions, path.errors])
                for phase, path in found.paths.items()
            },
            np.array([one.misfit for one in found.analyses]),
        )

    @property
    def significance(self) -> np.ndarray:
        """Counts of each phase in each map in standard errors, (n_maps, n_phases)."""
        known = self.count_errors > 0
        return np.where(known, self.counts / np.where(known, self.count_errors, 1), 0.0)

    @property
    def present(self) -> np.ndarray:
        """Whether a map holds a phase, at 4 standard errors; (n_maps, n_phases)."""
        return self.significance > PRESENT

    @property
    def percent_of_counts(self) -> np.ndarray:
        """Percent of the counts of a map in each phase, (n_maps, n_phases)."""
        return 100 * self.counts / self.counts.sum(axis=1, keepdims=True)

    @property
    def percent_of_atoms(self) -> np.ndarray:
        """Percent of the atoms of a map in each phase, (n_maps, n_phases)."""
        atoms = self.counts * self.atoms
        return 100 * atoms / atoms.sum(axis=1, keepdims=True)

    @property
    def percent_errors(self) -> np.ndarray:
        """Standard errors of `percent_of_atoms`, (n_maps, n_phases)."""
        share, atoms = self.percent_of_atoms / 100, self.counts * self.atoms
        each = 100 * self.count_errors * self.atoms / atoms.sum(axis=1, keepdims=True)
        others = (share**2) * ((each**2).sum(axis=1, keepdims=True) - each**2)
        return np.sqrt(((1 - share) * each) ** 2 + others)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a table with a row for each phase in each map.

        Its columns are the map, the parameter, the phase, counts with their error,
        percent of the counts and of the atoms, significance (in standard errors) and
        whether the phase is there.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        tables = (
            *(self.counts, self.count_errors, self.percent_of_counts),
            *(self.percent_of_atoms, self.significance, self.present),
        )
        rows = [
            (name, x, phase, *(table[i, j] for table in tables))
            for i, (name, x) in enumerate(zip(self.maps, self.parameter, strict=True))
            for j, phase in enumerate(self.phases)
        ]
        return data_frame(rows, _COLUMNS)

    def trends(self) -> pandas.DataFrame:
        """Return how phases, and compositions that drift, change with the parameter.

        Straight lines are fitted with the errors of each map as weights.

        Returns
        -------
        pandas.DataFrame
            Columns: phase; quantity ("atomic percent of the map", or that of an element
            in the phase); slope for 1 of the parameter; its standard error;
            significance. Empty for fewer than three values of the parameter.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = ("phase", "quantity", "slope", "error", "significance")
        rows = []
        for phase, quantity, y, error in self._series():
            x = self.parameter
            known = np.isfinite(x) & np.isfinite(y) & (error > 0)
            if np.unique(x[known]).size < 3:
                continue
            weight = 1 / error[known] ** 2
            x, y = x[known], y[known]
            away = x - weight @ x / weight.sum()
            spread = weight @ away**2
            slope, sigma = float(weight @ (away * y) / spread), float(spread**-0.5)
            rows.append((phase, quantity, slope, sigma, slope / sigma))
        return data_frame(rows, columns)

    def _series(self) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
        """Yield what may follow the parameter: phase, quantity, values and errors."""
        for j, phase in enumerate(self.phases):
            share = self.percent_of_atoms[:, j], self.percent_errors[:, j]
            yield phase, "atomic percent of the map", *share
        for phase, (percent, error) in self.paths.items():
            for i, element in enumerate(self.elements):
                yield phase, f"atomic percent of {element}", percent[:, i], error[:, i]

    def save(self, file: str | File) -> None:
        """Write all of it to a JSON file, which `load` reads.

        Parameters
        ----------
        file
            Path; a file of that name is replaced.
        """
        stored = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in asdict(self).items()
        }
        stored["paths"] = {name: x.tolist() for name, x in self.paths.items()}
        File(file).write_text(json.dumps(stored, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, file: str | File) -> JointResult:
        """Read what `save` wrote.

        Parameters
        ----------
        file
            Path.

        Raises
        ------
        ValueError
            If the file holds something else.
        """
        try:
            stored = json.loads(File(file).read_text(encoding="utf-8"))
            names = {one.name: str(one.type) for one in fields(cls)}
            if set(stored) != set(names):
                raise ValueError("other items than those of a joint result")
            for name, kind in names.items():
                if kind == "np.ndarray":
                    stored[name] = np.array(stored[name], float)
                elif kind.startswith("tuple"):
                    stored[name] = tuple(stored[name])
            stored["paths"] = {x: np.array(y) for x, y in stored["paths"].items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{file} does not hold a joint result ({error}). Write one with "
                "`decompose_together(...).save(file)`."
            ) from error
        return cls(**stored)

    @property
    def header(self) -> tuple[str, ...]:
        """Names of the columns."""
        return (self.parameter_name, *self.phases, "deviance ratio")

    def rows(self) -> list[tuple[str, ...]]:
        """Return atomic percent of each phase in each map, as text."""
        table = zip(self.percent_of_atoms, self.percent_errors, strict=True)
        return [
            (
                name,
                *(
                    f"{x:.1f} ± {dx:.1f}" if there else "-"
                    for x, dx, there in zip(*one, present, strict=True)
                ),
                f"{ratio:.3g}",
            )
            for name, one, present, ratio in zip(
                self.maps, table, self.present, self.deviance_ratios, strict=True
            )
        ]

    def footer(self) -> list[str]:
        """Return what the phases are made of."""
        lines = ["Atomic percent of the phases in each map; -: not there."]
        for j, phase in enumerate(self.phases):
            parts = zip(
                self.elements, self.composition[:, j], self.errors[:, j], strict=True
            )
            of = ", ".join(f"{e} {x:.1f} ± {dx:.1f}" for e, x, dx in parts if x >= 0.1)
            lines.append(f"{phase}: {of or 'not known'} at.%")
        return lines


def names_of(titles: Sequence[str]) -> list[str]:
    """Return names of maps that are told apart, from their titles."""
    names: list[str] = []
    for number, title in enumerate(titles):
        name = title or f"map {number}"
        names.append(
            f"{name} ({number})" if titles.count(title) > 1 and title else name
        )
    return names


def warned_of(analyses: Sequence[PhaseAnalysis]) -> str | None:
    """Return what is to be said of the phases, by the map with the most counts."""
    return max(analyses, key=lambda one: float(one.fingerprint[1])).warning
