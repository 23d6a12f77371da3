"""The command ``espm-hs``."""

import logging
import signal
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from espm_hs import __version__
from espm_hs.cli import settings, tables
from espm_hs.cli import workers as pool
from espm_hs.cli.advice import for_command_line
from espm_hs.output import NO_ZSPY, has_zspy, in_a_line, printable

# HyperSpy is imported inside the commands: --help must not wait for it.

# As many phases as the counts bear out.
AUTO = "auto"
# In a settings file only.
_KNOWN = "known_phases"


class NumberOr(click.ParamType):
    """A number, or a word: for one that the data tell, or for yes and no."""

    def __init__(self, *words: str) -> None:
        self.words, self.name = words, "|".join(["NUMBER", *words])

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str | bool:
        """Return a float, a word or what that says."""
        if isinstance(value, bool):
            return value
        if value in self.words:
            return {"true": True, "false": False}.get(value, value)
        return click.FLOAT.convert(value, param, ctx)


class PhaseCount(click.ParamType):
    """A number of phases, or "auto"."""

    name = "NUMBER|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the number or the word."""
        return AUTO if value == AUTO else click.IntRange(1).convert(value, param, ctx)


class DataSet(click.Choice):
    """A data set of `espm_hs.simulation`, which is not imported before it is needed."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the data sets."""
        from espm_hs.simulation import DATASETS

        return tuple(DATASETS)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="espm-hs")
def main() -> None:
    """Phases, maps and compositions from STEM-EDX spectrum images.

    \b
    espm-hs demo                       see what comes out, without a file
    espm-hs info map.emd               what a file holds, what is a default
    espm-hs elements map.emd           which elements its spectrum shows
    espm-hs phases map.emd             how many phases its counts bear out
    espm-hs init                       write a settings file with comments
    espm-hs decompose --settings espm-hs.toml a.emd b.emd -o results
    espm-hs report results/map_espm.hspy
    espm-hs export results/map_espm.hspy   tables, maps, figures, methods for a paper

    Exit codes: 0 all went well, 1 a file failed, 2 the command makes no sense.
    """  # noqa: D301 - click keeps the lines after the backspace as they are
    context = click.get_current_context()
    context.with_resource(pool.heard(KeyboardInterrupt, signal.SIGINT))


def _batch() -> ModuleType:
    """Import the module behind the commands, set up to be quiet and windowless."""
    import matplotlib

    matplotlib.use("Agg")
    with warnings.catch_warnings():
        # about HyperSpy's own future, of no use on the command line
        warnings.simplefilter("ignore")
        import hyperspy.api as hs

        from espm_hs.cli import batch
    # readers log what is told of the file anyway
    hs.set_log_level("CRITICAL")
    logging.getLogger("rsciio").setLevel(logging.CRITICAL)
    # of saving and the like; that of the fit is asked for
    hs.preferences.General.show_progressbar = False
    warnings.filterwarnings("ignore", module=r"(hyperspy|exspy|rsciio)\b")
    warnings.formatwarning = _in_words
    return batch


def _in_words(message: Warning | str, *_: object, **__: object) -> str:
    """Return a warning as a line of text, without the place in the code."""
    return f"Warning: {printable(for_command_line(str(message)))}\n"


def _print(outcomes: Generator[pool.Outcome], n_files: int) -> list[pool.Outcome]:
    """Print what becomes of each file; return all of it."""
    with closing(outcomes):  # and, whatever happens, the processes behind it
        return [_print_one(*one, n_files) for one in enumerate(outcomes, start=1)]


def _print_one(number: int, outcome: pool.Outcome, n_files: int) -> pool.Outcome:
    count = f"[{number}/{n_files}] " if n_files > 1 else ""
    path = printable(outcome.path)
    click.echo(f"{count}{path}")
    failed = outcome.state == "failed"
    text = printable(for_command_line(outcome.text) if failed else outcome.text)
    click.echo(f"error: {path}: {text}" if failed else text, err=failed)
    click.echo()
    return outcome


def _exit(outcomes: list[pool.Outcome]) -> None:
    """Say by the exit code whether a file failed."""
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed and len(outcomes) > 1:
        click.echo(f"{failed} of {len(outcomes)} files failed.", err=True)
    if failed:
        sys.exit(1)


@contextmanager
def _failing_in_a_line() -> Iterator[None]:
    """Show errors that users can do something about in a line."""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        raise click.ClickException(in_a_line(error)) from None


def _info(path: str) -> pool.Outcome:
    return pool.Outcome(path, "done", _batch().file_info(path))


def _decompose(output: str, wanted: settings.Settings, path: str) -> pool.Outcome:
    return _batch().decompose_file(path, output, wanted)


def _elements(wanted: settings.Settings, false_names: float, path: str) -> pool.Outcome:
    text = _batch().elements_of_file(path, wanted, false_names)
    return pool.Outcome(path, "done", text)


def _phases(
    output: str, wanted: settings.Settings, most: int, path: str
) -> pool.Outcome:
    return pool.Outcome(
        path, "done", _batch().phases_of_file(path, output, wanted, most)
    )


def _report(target: str | None, identify: str | None, path: str) -> pool.Outcome:
    written = _batch().report_file(path, target, identify)
    return pool.Outcome(path, "done", f"Written: {written}")


def _export(
    output: str, what: list[str] | None, oxygens: float | None, path: str
) -> pool.Outcome:
    written = _batch().export_file(path, output, what, oxygens)
    return pool.Outcome(path, "done", "\n".join(f"Written: {x}" for x in written))


def _symbols(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> list[str] | None:
    """Read "O,Mg, Si"."""
    if value is None:
        return None
    return [symbol.strip() for symbol in value.split(",") if symbol.strip()]


# What several commands are told of the sample and the microscope.
_ELEMENTS = click.option(
    "-e", "--elements", callback=_symbols, help="Of the sample: O,Mg,Si. [as the file]"
)
_STRAY = click.option(
    "--stray", callback=_symbols, help="From outside of the sample: Cu,C."
)
_THICKNESS = click.option("--thickness", type=float, help="Of the sample, nm.")
_DENSITY = click.option("--density", type=float, help="Of the sample, g/cm3.")
_BEAM_ENERGY = click.option("--beam-energy", type=float, help="keV. [as the file]")
_IDENTIFY = click.option(
    "--identify",
    metavar="DATABASE",
    help="Name the phases by: minerals, compounds, all, or a CSV file of formulas.",
)


@main.command()
@click.option("-o", "--output", default="demo", show_default=True, help="Folder.")
@click.option("--seed", default=0, show_default=True, help="Of the simulated counts.")
def demo(output: str, seed: int) -> None:
    """Decompose a simulated map and compare the result with the truth.

    Writes map.hspy and phases.png.
    """
    with _failing_in_a_line():
        click.echo(_batch().demo(output, seed))
    click.echo(f"Written: {Path(output, 'map.hspy')}, {Path(output, 'phases.png')}")


@main.command(name="compile")
def compile_() -> None:
    """Compile what a decomposition needs, for images and clusters.

    Compiled code is kept beside the package, or in the folder that the variable
    NUMBA_CACHE_DIR names, for processors of the same kind. Without this command it is
    compiled when it is used for the first time.
    """
    with _failing_in_a_line():
        folder, seconds = _batch().compile_kernels()
    click.echo(f"Ready after {seconds:.0f} s, in {folder} and beside it.")


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def info(files: tuple[str, ...]) -> None:
    """Say what files hold and what a decomposition would use."""
    _exit(_print(pool.run_all(files, _info, prepare=_batch), len(files)))


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_ELEMENTS
@_STRAY
@_BEAM_ENERGY
@click.option(
    "--false-names", type=click.FloatRange(0, 1), default=0.05, show_default=True,
    help="Largest probability of a false name.",
)  # fmt: skip
def elements(files: tuple[str, ...], false_names: float, **options: Any) -> None:
    """Name the elements that the summed spectra of files show.

    \b
    espm-hs elements map.emd
    espm-hs decompose map.emd -n auto -e O,Mg,Si,Fe --stray Cu

    Nothing need be known of the sample. Each name has the probability that it is
    false; elements that the file or an option names, and of which nothing is seen,
    have upper limits.
    """  # noqa: D301 - click keeps the lines after the backspace as they are
    wanted = settings.Settings(1, **options)
    work = partial(_elements, wanted, false_names)
    _exit(_print(pool.run_all(files, work, prepare=_batch), len(files)))


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_ELEMENTS
@_STRAY
@_THICKNESS
@_DENSITY
@_BEAM_ENERGY
@click.option("--most", type=click.IntRange(2), default=7, show_default=True,
              help="Largest number of phases to try.")  # fmt: skip
@click.option("-o", "--output", default=".", show_default=True, help="Folder.")
def phases(files: tuple[str, ...], most: int, output: str, **options: Any) -> None:
    """Find how many phases the counts of maps bear out.

    \b
    espm-hs phases map.emd -e O,Mg,Si,Fe --stray Cu

    A fifth of the counts is held out, and phases that are real help to predict it.
    Writes NAME_phase_number.png to the output folder: what each number of phases fails
    to predict.
    """  # noqa: D301 - click keeps the lines after the backspace as they are
    _check_names(files)
    wanted = settings.Settings(AUTO, progress=sys.stderr.isatty(), **options)
    work = partial(_phases, output, wanted, most)
    _exit(_print(pool.run_all(files, work, prepare=_batch), len(files)))


@main.command()
@click.argument("file", default="espm-hs.toml", type=click.Path(dir_okay=False))
def init(file: str) -> None:
    """Write a settings file with a comment for each setting.

    FILE is espm-hs.toml if not given. Edit it, then: espm-hs decompose --settings
    espm-hs.toml FILE...
    """
    try:
        settings.write_template(Path(file))
    except FileExistsError:
        raise click.ClickException(
            f"{file} is there already: move it away, or name another file."
        ) from None
    except OSError as error:
        raise click.ClickException(in_a_line(error)) from None
    click.echo(f"Written: {file}")


def _read_settings(
    context: click.Context, parameter: click.Parameter, file: str | None
) -> str | None:
    """Make what a settings file says the defaults of the command."""
    if file is None:
        return None
    names = {one.name for one in context.command.params if one.name != parameter.name}
    try:
        found = settings.read_settings(Path(file), names - {"files"} | {_KNOWN})
    except (OSError, ValueError) as error:
        raise click.BadParameter(in_a_line(error)) from None
    context.meta[_KNOWN] = found.pop(_KNOWN, None)
    # what is neither on nor off is not given
    flags = {one.name for one in context.command.params if getattr(one, "is_flag", 0)}
    context.default_map = {
        name: ",".join(map(str, value)) if isinstance(value, list) else value
        for name, value in found.items()
        if not (name in flags and value == AUTO)
    }
    return file


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-s",
    "--settings",
    is_eager=True,
    expose_value=False,
    callback=_read_settings,
    type=click.Path(exists=True, dir_okay=False),
    help="TOML file, as espm-hs init writes it. Options go before it.",
)
@click.option("-n", "--phases", type=PhaseCount(), required=True,
              help="Number; auto: what the counts bear out.")  # fmt: skip
@_ELEMENTS
@_STRAY
@_THICKNESS
@_DENSITY
@click.option("--thickness-error", type=float, help="Relative, 0 to 1.  [0.2]")
@click.option("--mass-thickness", type=NumberOr("fit"),
              help="kg/m2, 0 for no absorption, or 'fit'.")  # fmt: skip
@click.option("--pile-up", type=NumberOr("auto", "true", "false"),
              help="Sum peaks; pulse-pair resolution, ns.  [auto]")  # fmt: skip
@_BEAM_ENERGY
@click.option("--elevation", type=float, help="Of the detector, degrees. [as the file]")
@click.option("--detector", metavar="NAME",
              help="windowless or polymer_window.  [as the file]")  # fmt: skip
@click.option(
    "--calibrate", is_flag=True, help="Fit energy scale and peak width first."
)
@click.option("--calibration", type=click.Choice(["auto", "never"]),
              help="Of the model alone, where it does not fit.  [auto]")  # fmt: skip
@click.option(
    "--sparsity", type=NumberOr("auto"), help="Pulls small abundances to zero."
)
@click.option("--smoothness", type=NumberOr("auto"), help="Makes maps smooth.")
@click.option(
    "--binning", type=click.IntRange(1), help="Find phases in sums of pixels."
)
@click.option(
    "--end-members",
    type=click.Choice(["auto", "outside", "observed"]),
    help="Of series and inclusions.",
)
@click.option("--local-absorption/--no-local-absorption", default=None,
              help="Of each place, or the mean. [ask the counts]")  # fmt: skip
@click.option("--starts", type=click.IntRange(1), help="The best of so many is kept.")
@click.option("--seed", type=click.IntRange(0), help="Of the random numbers.")
@_IDENTIFY
@click.option("--jobs", type=int, help="Threads. [all cores]")
@click.option("--lazy", is_flag=True, help="For maps larger than the memory.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Files that are worked on at the same time.",
)
@click.option(
    "--resume", is_flag=True, help="Leave out files that these options were done with."
)
@click.option(
    "--together", is_flag=True, help="The same phases in the maps of all files."
)
@click.option("-o", "--output", default=".", show_default=True, help="Folder.")
def decompose(files: tuple[str, ...], output: str, **options: Any) -> None:
    """Find phases in the maps of files.

    \b
    espm-hs decompose map.emd -n 3 -e O,Mg,Si,Fe --stray Cu,C
    espm-hs decompose a.bcf b.bcf --settings espm-hs.toml --workers 2 --resume

    Writes to the output folder, replacing older files:

    \b
    NAME_espm.hspy         map and results; hs.load() gives all of it back
    NAME_report.html       maps, spectra, table and warnings, for a browser
    NAME_phases.png        map, spectrum and composition of each phase
    NAME_composition.csv   at.%, wt.%, oxides and formula units with their errors
    NAME_phase_number.png  with -n auto: how well each number predicts the counts
    summary.csv            a line for each of several files
    compositions.csv       the tables of several files in one
    together.csv           with --together: each phase in each map; .json and .png, too

    Goes on after a file that fails; the exit code is then 1. Ctrl-C stops at once,
    without files for the map it stopped; --resume goes on there.
    """  # noqa: D301 - click keeps the lines after the backspace as they are
    _check_names(files)
    together = options.pop("together")
    workers = min(options.pop("workers"), 1 if together else len(files))
    names = {"starts": "n_init", "seed": "random_state", "jobs": "n_jobs"}
    fitting = (
        *("calibration", "sparsity", "smoothness", "binning", "end_members"),
        "local_absorption",
        *names,
    )
    given = {name: value for name, value in options.items() if value is not None}
    fit = {names.get(name, name): given.pop(name) for name in fitting if name in given}
    if known := click.get_current_context().meta.get(_KNOWN):
        fit["known_phases"] = known
    progress = sys.stderr.isatty() and workers == 1
    wanted = settings.Settings(**given, fit=fit, progress=progress, workers=workers)
    if together:
        _decompose_together(files, output, wanted)
        return
    work = partial(_decompose, output, wanted)
    outcomes = _print(pool.run_all(files, work, workers, _batch), len(files))
    if len(files) > 1:
        with _failing_in_a_line():
            click.echo(printable(tables.summarise(outcomes, files, output)))
    _exit(outcomes)


def _decompose_together(
    files: tuple[str, ...], output: str, wanted: settings.Settings
) -> None:
    """Find the same phases in all maps; print the table of these."""
    fit = wanted.fit or {}
    for option, given in {
        "--local-absorption": "local_absorption" in fit,
        "--identify": wanted.identify,
        "--resume": wanted.resume,
    }.items():
        if given:
            raise click.UsageError(f"{option} is for maps one by one: not --together.")
    _batch()
    with _failing_in_a_line():
        from espm_hs.cli.joint import decompose_files

        click.echo(printable(decompose_files(files, output, wanted)))


def _check_names(files: tuple[str, ...]) -> None:
    """Refuse files whose results would overwrite each other."""
    seen: dict[str, str] = {}
    for file in files:
        other = seen.setdefault(Path(file).stem, file)
        if other != file:
            raise click.UsageError(
                f"{other} and {file} would both write {Path(file).stem}_espm.hspy: "
                "decompose them into different folders with --output."
            )


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", "target", type=click.Path(dir_okay=False),
              help="HTML file, for a single FILE.  [default: beside it]")  # fmt: skip
@_IDENTIFY
def report(files: tuple[str, ...], target: str | None, identify: str | None) -> None:
    """Write the report of maps that were decomposed before.

    The files are those of espm-hs decompose or of s.save() in Python.
    """
    if target is not None and len(files) > 1:
        raise click.UsageError(
            "--output is the report of one file, and there are more."
        )
    work = pool.run_all(files, partial(_report, target, identify), prepare=_batch)
    _exit(_print(work, len(files)))


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-w", "--what", callback=_symbols,
    help="csv,excel,latex,npz,tiff,figures,methods,script,hspy.  [all]",
)  # fmt: skip
@click.option("--oxygens", type=float,
              help="Of a formula unit, such as 4.  [the simplest]")  # fmt: skip
@click.option("-o", "--output", default="export", show_default=True, help="Folder.")
def export(
    files: tuple[str, ...], what: list[str] | None, oxygens: float | None, output: str
) -> None:
    """Write what papers and other programs need of maps that were decomposed before.

    \b
    espm-hs export results/map_espm.hspy --what csv,methods -o paper

    Tables of at.%, wt.%, oxides and atoms per formula unit, maps as TIFF and arrays,
    figures for print, a paragraph of methods with references, and a script that
    reproduces the result. All files of a map are written, or none.
    """  # noqa: D301 - click keeps the lines after the backspace as they are
    _check_names(files)
    work = partial(_export, output, what, oxygens)
    _exit(_print(pool.run_all(files, work, prepare=_batch), len(files)))


@main.command()
@click.argument("name", type=DataSet())
@click.option("-o", "--output", "file", required=True, type=click.Path(),
              help="File to write, .hspy or .zspy; replaces an older one.")  # fmt: skip
@click.option("--shape", nargs=2, type=click.IntRange(1),
              help="Rows and columns.  [default: of the data set]")  # fmt: skip
@click.option("--counts", type=float,
              help="Mean per pixel.  [default: of the data set]")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the counts.")  # fmt: skip
def simulate(
    name: str,
    file: str,
    shape: tuple[int, int] | None,
    counts: float | None,
    seed: int,
) -> None:
    """Write the simulated data set NAME to a file.

    \b
    particles       taenite and ilmenite in olivine
    grain_boundary  glass between alumina and zirconia
    core_shell      Pt-Fe cores in shells of magnetite, on carbon
    mantle          minerals of the lower mantle, after Teurtrie et al. (2024)

    The truth goes to the metadata of the file.
    """  # noqa: D301 - click keeps the lines after the backspace as they are
    if Path(file).suffix not in (".hspy", ".zspy"):
        raise click.BadParameter(f"{file} must end in .hspy or .zspy.")
    if Path(file).suffix == ".zspy" and not has_zspy():
        raise click.BadParameter(NO_ZSPY)
    given = {"shape": shape, "counts_per_pixel": counts}
    options = {key: value for key, value in given.items() if value is not None}
    with _failing_in_a_line():
        _batch().simulate(name, file, seed, **options)
    click.echo(f"Written: {file}")
