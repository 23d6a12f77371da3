"""Report of a decomposition: one HTML file with maps, spectra, table and warnings.

What the page says and how it looks is in ``report.html``, what is done in it in
``report.js``, with the numbers of `report_data`. Browsers run no other script: the page
allows that one, by its hash.
"""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.pyplot as plt

from espm_hs import __version__
from espm_hs.calibration.automatic import calibration_text
from espm_hs.cli import report_data
from espm_hs.cli.advice import for_command_line
from espm_hs.cli.tables import fit_facts
from espm_hs.metadata.describe import describe
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import RESULTS
from espm_hs.quantification.percent_with_errors import nothing_found
from espm_hs.quantification.phase_names import PhaseNames
from espm_hs.quantification.report import fit_problems, report
from espm_hs.signals import EDSespmSpectrum


def write_report(
    signal: EDSespmSpectrum,
    path: Path,
    source: str,
    names: PhaseNames | None = None,
) -> None:
    """Write a report that a browser shows without any other file.

    Parameters
    ----------
    signal
        With a decomposition by ``algorithm="espm"`` and its maps.
    path
        The HTML file; an older one is replaced.
    source
        Name of the file of the map.
    names
        Names of the phases, which get a table of their own.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found = signal.analysis_results()
    remarks = signal._remarks(found)
    table = report(found)
    cautions = [f"{one.sentence}. {one.advice}" for one in found.cautions]
    some = (x for x in found.ambiguities if not (x.is_wide or found.empty[x.phase]))
    facts = fit_facts(signal) | {
        "pixels": str(len(signal._kept_loadings(found))),
        "binning": f"{found.binning} pixels along each axis to find phases",
        "smoothness of the maps": found.smoothness_text,
    }
    axis = signal.axes_manager.signal_axes[0]
    stored = item(signal.metadata, RESULTS)
    page = _template().render(
        title=str(item(signal.metadata, "General.title") or Path(source).stem),
        source=source,
        version=__version__,
        warnings=[
            for_command_line(line)
            for line in (
                *remarks,
                *nothing_found(found),
                *fit_problems(found),
                *cautions,
            )
        ],
        remarks=[
            table.footer()[0],
            *calibration_text(found.calibration),
            *found.gains,
            *found.steps,
            *map(str, some),
        ],
        facts=[(name, text) for name, text in facts.items() if text],
        table=table,
        errors=table.errors_text,
        names=names,
        draw=partial(_figure, signal),
        data=partial(_numbers, signal),
        script=script(),
        script_hash=_hash(script()),
        parameters=[
            map(for_command_line, row)
            for row in describe(signal.metadata, signal.original_metadata, axis)
        ],
        settings=[*stored["options"].items(), *stored["versions"].items()],
    )
    # names of files need not be text
    path.write_text(page, encoding="utf-8", errors="replace")


def script() -> str:
    """Return the one script that a report has."""
    return f"\n{_resource('report.js')}"


def _hash(text: str) -> str:
    """Return how a page names a script that it allows."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _resource(name: str) -> str:
    return resources.files("espm_hs.cli").joinpath(name).read_text("utf-8")


def _template() -> jinja2.Template:
    """Page in which whatever is filled in is text and never markup."""
    text = _resource("report.html")
    return jinja2.Template(text, autoescape=True, trim_blocks=True, lstrip_blocks=True)


_DATA: Mapping[str, Callable[[EDSespmSpectrum], str | None]] = {
    "fit": report_data.fit_data,
    "phases": report_data.phases_data,
    "maps of phases": report_data.phase_maps_data,
    "maps of elements": report_data.composition_data,
}


def _numbers(signal: EDSespmSpectrum, of: str) -> str | None:
    """Return what a browser draws; nothing where the figure has its own failure."""
    try:
        return _DATA[of](signal)
    except (RuntimeError, ValueError):
        return None


def _figure(
    signal: EDSespmSpectrum, method: str, arguments: Mapping[str, Any]
) -> dict[str, str]:
    """Draw a figure as PNG in base64; its own failure does not cost the report."""
    try:
        figure = getattr(signal, method)(**arguments)
    except (RuntimeError, ValueError) as error:
        return {"problem": str(error)}
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return {"image": base64.b64encode(buffer.getvalue()).decode("ascii")}
