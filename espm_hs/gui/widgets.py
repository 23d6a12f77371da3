"""The widgets of ipywidgets; HyperSpy finds them by the names in the yaml."""

import html
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display as show

from espm_hs.gui.parameters import AnalysisParameters, ElementPicker
from espm_hs.physics.xray.elements import SYMBOLS

_COLOURS = {"": "#F4F4F4", "sample": "#56B4E9", "stray": "#BBBBBB"}
# Rows of the periodic table by their first element, and the columns of the others;
# lanthanides and actinides stand below.
_ROWS = (
    {1: 1, 18: 2},
    {1: 3, 2: 4, **{13 + i: 5 + i for i in range(6)}},
    {1: 11, 2: 12, **{13 + i: 13 + i for i in range(6)}},
    {1 + i: 19 + i for i in range(18)},
    {1 + i: 37 + i for i in range(18)},
    {1: 55, 2: 56, **{4 + i: 72 + i for i in range(15)}},
    {1: 87, 2: 88},
    {3 + i: 57 + i for i in range(15)},
    {3 + i: 89 + i for i in range(4)},
)


def analysis_parameters(
    obj: AnalysisParameters, display: bool = True, **_: Any
) -> dict | None:
    """Show a field for each parameter, with what is a default beside it.

    Returns
    -------
    dict or None
        Widgets by name, if they are not displayed.
    """
    fields, lines = {}, []
    for name in obj.names:
        value, trait = getattr(obj, name), obj.trait(name)
        field = ipywidgets.Text("" if value is None else f"{value:g}")
        field.layout.width = "8em"
        field.tooltip = trait.desc
        fields[name] = field
        label = ipywidgets.Label(trait.label, layout={"width": "15em"})
        note = ipywidgets.HTML(f"<small>{html.escape(obj.remarks[name])}</small>")
        lines.append(ipywidgets.HBox([label, field, note]))

    def store() -> None:
        for name, field in fields.items():
            text = field.value.strip()
            setattr(obj, name, float(text) if text else None)
        obj.store()

    return _form(lines, store, fields, "", display)


def element_picker(obj: ElementPicker, display: bool = True, **_: Any) -> dict | None:
    """Show a periodic table; what a click makes of an element is chosen above it.

    Returns
    -------
    dict or None
        Widgets by name, if they are not displayed.
    """
    buttons, cells = {}, []
    click = ipywidgets.ToggleButtons(
        options={"sample": "sample", "stray": "stray", "in turn": None},
        value=None,
        description="A click:",
        tooltips=[
            "An element of the sample, quantified; a second click takes it out",
            "Of grid, holder or column, not quantified; a second click takes it out",
            "Sample, then stray, then neither",
        ],
    )
    for row in _ROWS:
        for column in range(1, 19):
            if column not in row:
                cells.append(ipywidgets.Label(""))
                continue
            symbol = SYMBOLS[row[column] - 1]
            button = ipywidgets.Button(
                description=symbol, layout={"width": "auto", "margin": "1px"}
            )
            button.style.button_color = _COLOURS[obj.states.get(symbol, "")]
            button.on_click(lambda one: _turn(obj, one, click.value))
            buttons[symbol] = button
            cells.append(button)
    layout = {"grid_template_columns": "repeat(18, 2.6em)"}
    grid = ipywidgets.GridBox(cells, layout=layout)
    hint = "<small>blue: sample; grey: stray, fitted and not quantified</small>"
    return _form([click, grid], obj.store, buttons, hint, display)


def _turn(picker: ElementPicker, button: ipywidgets.Button, to: str | None) -> None:
    button.style.button_color = _COLOURS[picker.turn(button.description, to)]


def _form(
    body: list, store: Callable[[], None], parts: dict, hint: str, display: bool
) -> dict | None:
    """Show widgets with a button that stores, and what comes of it."""
    message = ipywidgets.HTML(hint)
    button = ipywidgets.Button(description="Store")

    def clicked(_: Any) -> None:
        try:
            store()
        except (ValueError, TypeError) as error:
            message.value = f"<b>{html.escape(str(error))}</b>"
        else:
            message.value = "Stored in the metadata."

    button.on_click(clicked)
    widget = ipywidgets.VBox([*body, button, message])
    if display:
        show(widget)
        return None
    return {"widget": widget, "wdict": parts | {"store": button, "message": message}}
