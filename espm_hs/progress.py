"""How far a call has come: stages with names, and a fraction that never goes back.

What takes long says so where it is done, by `stage` and `tell`, and need not know what
it is a part of: the stages of a fit are parts of those of a decomposition, and this is
one of a bootstrap or of a file. Where nobody has asked by `reported`, nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# Takes the fraction that is done, and the name of the stage.
Show = Callable[[float, str], None]


@dataclass
class _Report:
    """What is shown of a call; a display that fails, or interrupts, is left alone."""

    show: Show
    works: bool = True

    def __call__(self, fraction: float, name: str) -> None:
        if not self.works:
            return
        self.works = False
        self.show(fraction, name)
        self.works = True


@dataclass
class _Stage:
    """A stretch of the whole, from ``begin`` to ``end``, that has come to ``at``."""

    report: _Report
    name: str
    at: float
    end: float

    def __post_init__(self) -> None:
        self.begin = self.at

    def tell(self, fraction: float) -> None:
        """Go on to a fraction of the stage, and never back."""
        at = self.begin + min(max(fraction, 0.0), 1.0) * (self.end - self.begin)
        if at > self.at:
            self.at = at
            self.report(at, self.name)


_innermost: ContextVar[_Stage | None] = ContextVar("stage", default=None)


def is_reported() -> bool:
    """Whether somebody has asked how far the present call has come."""
    return _innermost.get() is not None


@contextmanager
def reported(show: Show) -> Iterator[None]:
    """Report how far what is done inside has come; 1 when it ends.

    Parameters
    ----------
    show
        Called whenever the fraction that is done rises, with it and with the name of
        the stage. Not called again if it raises.
    """
    whole = _Stage(_Report(show), "", 0.0, 1.0)
    before = _innermost.set(whole)
    try:
        yield
        whole.tell(1.0)
    finally:
        _innermost.reset(before)


@contextmanager
def stage(share: float = 1.0, name: str = "") -> Iterator[None]:
    """Do what is a part of the stage around it.

    Parameters
    ----------
    share
        Of the time that is left of the stage around it, as far as that is known
        beforehand. Rounds of which nobody knows how many there will be may so take the
        same share each.
    name
        What is done; none: that of the stage around it.
    """
    around = _innermost.get()
    if around is None:
        yield
        return
    end = around.at + share * (around.end - around.at)
    inside = _Stage(around.report, name or around.name, around.at, end)
    before = _innermost.set(inside)
    try:
        if name:
            around.report(around.at, name)
        yield
        inside.tell(1.0)
    finally:
        _innermost.reset(before)
        around.at = inside.at


def tell(fraction: float) -> None:
    """Say which fraction of the innermost stage is done."""
    innermost = _innermost.get()
    if innermost is not None:
        innermost.tell(fraction)
