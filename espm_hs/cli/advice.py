"""Advice that names calls of Python, for somebody at the command line."""

from __future__ import annotations

import re
from collections.abc import Callable

# A call of a method, in backticks or not; one is named without the signal, too.
_CALL = re.compile(
    r"`?\b(?:s\.|(?=refine_calibration))(\w+)"
    r"\(((?:[^()`\n]|\([^()`\n]*\))*)\)`?"
)
_NAME = re.compile(r"(\w+)=")
# More than one argument, each of which stands by itself.
_ARGUMENT = re.compile(r"(\w+)=([^,=]*)(?:, |$)")
# Arguments of calls -> options.
_OPTIONS = {
    "beam_energy": "--beam-energy",
    "binning": "--binning",
    "density": "--density",
    "detector": "--detector",
    "elevation_angle": "--elevation",
    "mass_thickness": "--mass-thickness",
    "pile_up": "--pile-up",
    "stray_elements": "--stray",
    "thickness": "--thickness",
    "thickness_error": "--thickness-error",
}


def _by_options(arguments: str) -> str | None:
    """Return the options in the place of arguments; None if one has none."""
    names = _NAME.findall(arguments)
    options = [_OPTIONS.get(name) for name in names]
    if not options or None in options:
        return None
    return ", ".join(f"`{one}`" for one in options if one)


def _parameters(arguments: str) -> str | None:
    """Return the options in the place of parameters, and a call with the others."""
    if found := _by_options(arguments):
        return found
    parts = _ARGUMENT.findall(arguments)
    options = [f"`{_OPTIONS[name]}`" for name, _ in parts if name in _OPTIONS]
    others = [f"{name}={value}" for name, value in parts if name not in _OPTIONS]
    if not options or not others:
        return None
    call = f"`s.set_analysis_parameters({', '.join(others)})`"
    return f"{', '.join(options)}, or in Python {call}"


def _decompose(arguments: str) -> str | None:
    if "init=" in arguments or "output_dimension=" in arguments:
        return "`espm-hs decompose FILE`"
    return _by_options(arguments.replace("algorithm='espm'", ""))


def _elements(arguments: str) -> str:
    """Return the option with the elements of a list, where there is one."""
    listed = re.findall(r"[A-Z][a-z]?", arguments)
    more = ["..."] if "..." in arguments else []
    return f"`--elements {','.join(listed + more)}`" if listed else "`--elements`"


# Method -> what stands for a call of it, made of its arguments; None: nothing does.
_INSTEAD: dict[str, Callable[[str], str | None]] = {
    "add_elements": lambda _: "`--elements`",
    "decomposition": _decompose,
    "estimate_number_of_phases": lambda _: "`espm-hs phases FILE`",
    "identify_elements": lambda _: "`espm-hs elements FILE`",
    "info": lambda _: "`espm-hs info FILE`",
    "plot_residuals": lambda _: "the residuals in the report",
    "print_quantification": lambda _: "the table in the report",
    "refine_calibration": lambda _: "`--calibrate`",
    "set_analysis_parameters": _parameters,
    "set_elements": _elements,
    "set_microscope_parameters": _by_options,
}


def for_command_line(text: str) -> str:
    """Return text that names commands and options where it named calls of Python.

    Calls that nothing at the command line stands for are left as they are.
    """
    return _CALL.sub(_instead, text)


def _instead(call: re.Match[str]) -> str:
    make = _INSTEAD.get(call[1])
    return (make(call[2]) if make else None) or call[0]
