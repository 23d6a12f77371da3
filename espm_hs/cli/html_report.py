"""Report of a decomposition: one HTML file with maps, spectra, table and warnings."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt

from espm_hs import __version__
from espm_hs.cli.tables import fit_facts
from espm_hs.metadata.describe import describe
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import RESULTS
from espm_hs.quantification.report import report

# What is shown, in this order: heading, method of the signal, its arguments, comment.
_FIGURES = (
    (
        "Phases",
        "plot_phases",
        {},
        "Counts of each phase, its spectrum, and its composition with one standard "
        "deviation.",
    ),
    ("Composition", "plot_composition", {}, "Atomic percent in each pixel."),
    (
        "Fit",
        "plot_fit",
        {"parts": "elements"},
        "Summed spectrum, model and lines of each element. Below: what is left, in "
        "standard deviations; the grey band is ± 3.",
    ),
    (
        "Residuals",
        "plot_residuals",
        {},
        "By energy, within the width of a peak: a positive one is a line that the "
        "model lacks. By pixel: noise is about 0 ± 1, a missing phase has a shape.",
    ),
    ("Convergence", "plot_convergence", {}, "The objective during the fit."),
)

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 62rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { margin-top: 2.2rem; }
.file { color: #666; margin-top: 0.2rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.facts td { text-align: left; }
.warning { background: #fdf3dc; border-left: 4px solid #e69f00; padding: 0.4rem 0.8rem;
           margin: 0.4rem 0; }
.remark { border-left: 4px solid #56b4e9; padding: 0.2rem 0.8rem; margin: 0.4rem 0; }
img { max-width: 100%; } figure { margin: 0; } figcaption { color: #555; }
footer { color: #666; font-size: 0.85rem; margin-top: 3rem; }
"""


def write_report(signal, path: Path, source: str) -> None:
    """
    Write a report that a browser shows without any other file.

    Parameters
    ----------
    signal : EDSespmSpectrum
        With a decomposition by ``algorithm="espm"`` and its maps.
    path : Path
        The HTML file; an older one is replaced.
    source : str
        Name of the file of the map.

    Raises
    ------
    RuntimeError
        If the signal has no such decomposition.
    """
    found = signal.analysis_results()
    title = str(item(signal.metadata, "General.title") or Path(source).stem)
    parts = [
        f"<h1>{escape(title)}</h1><p class='file'>{escape(source)}</p>",
        _remarks(found),
        _facts(signal, found),
        "<h2>Composition of the phases</h2>",
        _table(found),
    ]
    parts += [_figure(signal, *one) for one in _FIGURES]
    parts += [_parameters(signal), _settings(signal), _footer()]
    body = "\n".join(parts)
    path.write_text(
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        # should text ever get through as more than text: nothing is run or fetched
        "<meta http-equiv='Content-Security-Policy' "
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n",
        encoding="utf-8",
        errors="replace",  # names of files need not be text
    )


def _remarks(found) -> str:
    """Say what to know before trusting the numbers, warnings first."""
    lines = report(found).footer()
    warned = [line for line in lines if line.startswith(("The ", "Hardly"))]
    others = [line for line in lines if line not in warned]
    return "".join(
        f"<p class='{kind}'>{escape(line)}</p>"
        for kind, some in (("warning", warned), ("remark", others))
        for line in some
    )


def _facts(signal, found) -> str:
    counts = signal.learning_results.loadings.shape[0]
    facts = fit_facts(signal) | {
        "pixels": str(counts),
        "binning": f"{found.binning} pixels along each axis to find phases",
        "smoothness of the maps": found.smoothness_text,
    }
    return _rows((name, text) for name, text in facts.items() if text)


def _rows(rows) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table class='facts'>{body}</table>"


def _table(found) -> str:
    """Atomic percent with all errors, phase after phase."""
    table = report(found)

    def cells(row, tag):
        return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows())
    return (
        f"<table><thead><tr>{cells(table.header, 'th')}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
        "<p>Errors are one standard deviation, in at.%: from counts, from the sparsity "
        "term, from line data, and all together. “&lt;” is a limit of detection, 95 % "
        "confidence.</p>"
    )


def _figure(signal, heading, method, arguments, comment) -> str:
    """One figure with its heading; its own failure does not cost the report."""
    top = f"<h2>{escape(heading)}</h2>"
    try:
        figure = getattr(signal, method)(**arguments)
    except (RuntimeError, ValueError) as error:
        return f"{top}<p class='warning'>{escape(str(error))}</p>"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f"{top}<figure><img alt='{escape(heading)}' "
        f"src='data:image/png;base64,{data}'>"
        f"<figcaption>{escape(comment)}</figcaption></figure>"
    )


def _parameters(signal) -> str:
    """Say what the analysis used, and which of it is a default."""
    axis = signal.axes_manager.signal_axes[0]
    rows = describe(signal.metadata, signal.original_metadata, axis)
    return f"<h2>What the analysis used</h2>{_rows(rows)}"


def _settings(signal) -> str:
    stored = item(signal.metadata, RESULTS)
    rows = [*stored["options"].items(), *stored["versions"].items()]
    return f"<h2>Options and versions</h2>{_rows(rows)}"


def _footer() -> str:
    return (
        f"<footer>espm_hs {escape(__version__)}. Please cite A. Teurtrie et al., Mach. "
        "Learn.: Sci. Technol. 5 (2024), doi:10.1088/2632-2153/ad9192.</footer>"
    )
