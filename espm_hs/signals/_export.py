"""Everything of a result that goes into a paper: methods of the signal classes."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs.arguments import check_choice
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.metadata.describe import shape_text
from espm_hs.metadata.reader import item
from espm_hs.metadata.script import script_text
from espm_hs.metadata.writer import read_options
from espm_hs.output import check_targets, finished_files, write_csv
from espm_hs.quantification.formula_units import FormulaUnits, formula_units
from espm_hs.quantification.methods_text import Measurement, methods_text
from espm_hs.quantification.percent_with_errors import to_percent
from espm_hs.quantification.report import total_covariance
from espm_hs.quantification.tables import composition_rows, latex_tables
from espm_hs.signals._edits import phase_number

# What is exported -> how the names of the files end; "*" for what a map is of.
FILES = {
    "csv": ("composition.csv",),
    "excel": ("composition.xlsx",),
    "latex": ("composition.tex",),
    "npz": ("result.npz",),
    "tiff": ("map_*.tif",),
    "figures": ("phases.png", "phases.pdf", "fit.png"),
    "methods": ("methods.txt",),
    "script": ("reproduce.py",),
    "hspy": ("espm.hspy",),
}
# Of figures for print, dots per inch.
_RESOLUTION = 300
New = Callable[[str], AbstractContextManager[Path]]


class Exports(EDSSpectrum):
    """Writes results for papers and programs; part of `EDSespmSpectrum`."""

    analysis_results: Any
    phase_map: Any
    physical_model: Any
    plot_fit: Any
    plot_phases: Any
    quantify: Any
    _kept_loadings: Any
    _loadings: Any
    _results: Any
    _trees: Any

    def atoms_per_formula_unit(
        self,
        oxygens: float | Mapping[Any, float] | None = None,
        oxygen: str | Mapping[str, float] = "stoichiometry",
    ) -> FormulaUnits:
        """Return the atoms of each element per formula unit, in phases that are oxides.

        Parameters
        ----------
        oxygens
            Atoms of oxygen that the cations of a formula unit bind, such as 4 for
            olivine, or by numbers or names of phases, ``{"olivine": 4}``, which are
            then taken for oxides. None: the smallest number up to 12 for which the
            cations are a whole number within 0.05, else 1, in phases that have at
            least 30 % of the oxygen that their cations could bind.
        oxygen
            "stoichiometry" for the usual valences, or a mapping of valences that differ
            from them, such as ``{"Fe": 3}``.

        Returns
        -------
        FormulaUnits
            A table; ``atoms`` and ``errors`` have the shape (n_elements, n_phases),
            `to_dataframe` has a line for each phase and element. Errors are one
            standard deviation and hold all that `print_quantification` has. O, if it
            was measured, has the atoms that were measured.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.
        ValueError, TypeError
            If there is no such phase, or a number or a valence makes no sense.

        Examples
        --------
        >>> units = s.atoms_per_formula_unit()
        >>> len(units.oxygens) == len(units.phases)
        True
        """
        found = self.analysis_results()
        return formula_units(found, _by_number(oxygens, found), oxygen)

    def methods_text(self) -> str:
        """Return a paragraph of methods for a paper, with versions and references.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal.

        Examples
        --------
        >>> "doi:10.1088/2632-2153/ad9192" in s.methods_text()
        True
        """
        found: PhaseAnalysis = self.analysis_results()
        stored = self._results()
        n_pixels, counts, _ = found.fingerprint.tolist()
        measured = Measurement(
            shape_text(self), counts / max(n_pixels, 1), int(n_pixels)
        )
        return methods_text(
            found, measured, stored["versions"], read_options(stored["options"])
        )

    def export(
        self,
        folder: str | Path,
        what: str | Iterable[str] | None = None,
        name: str | None = None,
        oxygens: float | Mapping[Any, float] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ) -> list[Path]:
        """Write the result for papers and for other programs: all files, or none.

        Parameters
        ----------
        folder
            Is made if needed; older files of the same names are replaced.
        what
            One or more of "csv", "excel", "latex" (compositions in at.% and wt.%, and
            of oxides in wt.% of the oxides and atoms per formula unit), "npz" (maps,
            spectra, compositions, masks as arrays), "tiff" (maps of phases and elements
            with the size of a pixel), "figures", "methods" (a paragraph with versions,
            settings and references), "script" (which reproduces the result) and "hspy"
            (map and results). None: all, but Excel only if openpyxl is installed and
            TIFF only for maps with two axes.
        name
            How the names of the files begin. None: as the title of the signal.
        oxygens, oxygen
            Of formula units and oxides, see `atoms_per_formula_unit`.

        Returns
        -------
        list of pathlib.Path
            What was written.

        Raises
        ------
        RuntimeError
            If there is no espm decomposition of this signal, or the data have been
            transposed, cropped or changed since.
        ValueError, TypeError
            If an argument is unknown or makes no sense.
        ImportError
            If Excel is asked for, and openpyxl is not installed.
        OSError
            If a file cannot be written; then none is.

        Examples
        --------
        >>> files = s.export("paper", ["csv", "methods"], name="map")
        >>> [file.name for file in files]
        ['map_composition.csv', 'map_methods.txt']
        """
        found: PhaseAnalysis = self.analysis_results()
        loadings = self._loadings(found)
        chosen = self._export_choice(what)
        folder = Path(folder)
        name = _file_name(self._export_name(name))
        numbered = _by_number(oxygens, found)
        rows = composition_rows(found, numbered, oxygen)
        masks = self._export_masks(found, loadings)
        if "script" in chosen and masks and "npz" not in chosen:
            chosen = [*chosen, "npz"]  # the script reads them there
        ends = [end for one in chosen for end in FILES[one]]
        check_targets([folder / f"{name}_{end}" for end in ends])
        makers: dict[str, Callable[[Path], None]] = {
            "csv": lambda file: write_csv(file, rows),
            "excel": lambda file: _write_excel(file, rows, self.methods_text()),
            "latex": lambda file: _write_text(
                file, latex_tables(found, numbered, oxygen)
            ),
            "npz": lambda file: self._export_arrays(file, found, loadings),
            "methods": lambda file: _write_text(file, self.methods_text()),
            "script": lambda file: _write_text(
                file, self._export_script(found, name, masks)
            ),
            "hspy": lambda file: self.save(file, show_progressbar=False),
        }
        written: list[Path] = []
        with finished_files(folder) as new:

            def opened(end: str) -> AbstractContextManager[Path]:
                written.append(folder / f"{name}_{end}")
                return new(f"{name}_{end}")

            for one in FILES:  # the map with the results is the last
                if one not in chosen:
                    continue
                if one == "tiff":
                    self._export_images(opened, found, loadings)
                elif one == "figures":
                    self._export_figures(opened)
                else:
                    with opened(FILES[one][0]) as file:
                        makers[one](file)
        return written

    def _export_choice(self, what: str | Iterable[str] | None) -> list[str]:
        """Return what is to be exported; what cannot be is refused by name."""
        is_image = self.axes_manager.navigation_dimension == 2
        has_excel = importlib.util.find_spec("openpyxl") is not None
        possible = {"excel": has_excel, "tiff": is_image}
        if what is None:
            return [one for one in FILES if possible.get(one, True)]
        asked = [what] if isinstance(what, str) else what
        if not isinstance(asked, Iterable):
            raise TypeError(
                f"`what` is {what!r}; needed is one or more of {', '.join(FILES)}."
            )
        chosen = list(asked)
        for one in chosen:
            check_choice("what", one, FILES)
        if not chosen:
            raise ValueError(f"`what` is empty; give some of {', '.join(FILES)}.")
        if "excel" in chosen and not has_excel:
            raise ImportError(
                "Tables for Excel need openpyxl: install it, `pip install openpyxl`, "
                "or export 'csv'."
            )
        if "tiff" in chosen and not is_image:
            raise ValueError(
                "`what` has 'tiff', an image of two axes, and the map has "
                f"{self.axes_manager.navigation_dimension}: export 'npz'."
            )
        return chosen

    def _export_name(self, name: str | None) -> str:
        """Return how the names of files begin."""
        if name is None:
            return str(item(self.metadata, "General.title") or "map")
        if not (isinstance(name, str) and name.strip()):
            raise ValueError(f"`name` is {name!r}; needed is a text such as 'map1'.")
        return name

    def _export_masks(
        self, found: PhaseAnalysis, loadings: np.ndarray
    ) -> dict[str, str]:
        """Return the masks that a decomposition is to be given -> array with them."""
        masks = {}
        if np.isnan(loadings).any():
            masks["navigation_mask"] = "pixels_left_out"
        if (found.channels != self.physical_model().channels).any():
            masks["signal_mask"] = "channels_left_out"
        return masks

    def _export_arrays(
        self, file: Path, found: PhaseAnalysis, loadings: np.ndarray
    ) -> None:
        """Write maps, spectra and compositions for numpy."""
        symbols, percent, _ = to_percent(found)
        errors = np.sqrt(np.diagonal(total_covariance(found), axis1=1, axis2=2).T)
        navigation = self.data.shape[:-1]
        with open(file, "wb") as opened:
            np.savez_compressed(
                opened,
                maps=loadings.reshape(*navigation, found.n_phases),
                spectra=found.spectra,
                energy_keV=found.model.energy
                if hasattr(found.model, "energy")
                else np.arange(len(found.channels)),
                phases=np.array(found.labels),
                elements=np.array(symbols),
                atomic_percent=percent,
                atoms=found.composition,
                error_of_atoms=errors,
                pixels_left_out=np.isnan(loadings).any(axis=1).reshape(navigation),
                channels_left_out=~found.channels,
            )

    def _export_images(
        self,
        opened: New,
        found: PhaseAnalysis,
        loadings: np.ndarray,
    ) -> None:
        """Write maps of counts of phases, of at.%, and of the labels."""
        from espm_hs.plotting.phase_map import save_labels, save_tiff

        axes = tuple(
            axis.get_axis_dictionary()
            for axis in self.axes_manager.navigation_axes[::-1]
        )
        counts = loadings * np.nansum(found.spectra, axis=0)
        navigation = self.data.shape[:-1]
        # two names may be one in the name of a file, and numbers are not
        images = {
            f"counts of phase {j} {name}": counts[:, j].reshape(navigation)
            for j, name in enumerate(found.knowledge.names)
        }
        for one in self.quantify("pixels"):
            images[one.metadata.General.title] = np.asarray(one.data)
        for what, values in images.items():
            with opened(f"map_{_file_name(what)}.tif") as file:
                save_tiff(file, values.astype(np.float32), axes, what)
        with opened("map_phases.tif") as file:
            save_labels(file, self.phase_map(), axes)

    def _export_figures(self, opened: New) -> None:
        """Draw what a paper shows."""
        import matplotlib.pyplot as plt

        figures = {"phases": self.plot_phases, "fit": self.plot_fit}
        drawn = {name: partial(draw)() for name, draw in figures.items()}
        try:
            for end in FILES["figures"]:
                with opened(end) as file:
                    drawn[Path(end).stem].savefig(file, dpi=_RESOLUTION)
        finally:
            for figure in drawn.values():
                plt.close(figure)

    def _export_script(
        self, found: PhaseAnalysis, name: str, masks: Mapping[str, str]
    ) -> str:
        """Write the calls that reproduce the result from the map that is exported."""
        symbols, percent, _ = to_percent(found)
        stored = self._results()
        arrays = f"np.load({f'{name}_result.npz'!r})"
        # HyperSpy's masks of pixels are x, y
        return script_text(
            self._trees,
            read_options(stored["options"]),
            name=f"{name}_reproduce.py",
            source=f"{name}_espm.hspy",
            title=str(item(self.metadata, "General.title") or name),
            versions=stored["versions"],
            masks={key: f"{arrays}[{one!r}].T" for key, one in masks.items()},
            edits=found.edits,
            elements=symbols,
            percent=percent,
        )


def _by_number(oxygens: Any, found: PhaseAnalysis) -> Any:
    """Return oxygens of formula units by the numbers of the phases."""
    if not isinstance(oxygens, Mapping):
        return oxygens
    return {phase_number("oxygens", key, found): n for key, n in oxygens.items()}


def _file_name(text: str) -> str:
    """Return text that is the name of a file everywhere."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "map"


def _write_text(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", errors="replace")


def _write_excel(file: Path, rows: list[list[str]], methods: str) -> None:
    """Write a workbook: compositions as numbers, and the paragraph of methods."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "composition"
    for number, row in enumerate(rows, start=1):
        for place, cell in enumerate(row, start=1):
            # names stay text, which no program takes for a formula
            written = sheet.cell(number, place)
            is_number = number > 1 and place > 2 and _is_number(cell)
            written.value = float(cell) if is_number else cell or None
            if cell and not is_number:
                written.data_type = "s"
    sheet.freeze_panes = "C2"
    text = book.create_sheet("methods")
    for number, line in enumerate(methods.splitlines(), start=1):
        text.cell(number, 1).value = line
        text.cell(number, 1).data_type = "s"
    with open(file, "wb") as opened:
        book.save(opened)


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
