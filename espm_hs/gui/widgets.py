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

# Symbols in the order of the table, "" where it has a gap.
_CELLS = tuple(
    SYMBOLS[row[column] - 1] if column in row else ""
    for row in _ROWS
    for column in range(1, 19)
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
    """Show a periodic table, and the spectrum with the lines of what is chosen.

    What a click makes of an element is chosen above the table.

    Returns
    -------
    dict or None
        Widgets by name, if they are not displayed.
    """
    click = ipywidgets.ToggleButtons(
        options={"sample": "sample", "stray": "stray", "in turn": ""},
        value="",
        description="A click:",
        tooltips=[
            "An element of the sample, quantified; a second click takes it out",
            "Of grid, holder or column, not quantified; a second click takes it out",
            "Sample, then stray, then neither",
        ],
    )
    spectrum = _spectrum(obj)
    chosen = ipywidgets.HTML()
    buttons = _buttons(obj)

    def turn(button: ipywidgets.Button) -> None:
        obj.turn(button.description, click.value or None)

    def follow(_: Any = None) -> None:
        chosen.value = html.escape(obj.text)
        for symbol, button in buttons.items():
            button.style.button_color = _COLOURS[obj.states.get(symbol, "")]

    for button in buttons.values():
        button.on_click(turn)
    # whoever turns an element, by a click or by a call
    obj.observe(follow, "states")
    follow()
    cells = [buttons.get(symbol, ipywidgets.Label("")) for symbol in _CELLS]
    layout = {"grid_template_columns": "repeat(18, 2.6em)"}
    grid = ipywidgets.GridBox(cells, layout=layout)
    hint = (
        "<small>blue: sample, quantified; grey: stray, of grid, holder or column, "
        "fitted and not quantified; orange lines: neither, but clicked last</small>"
    )
    parts = buttons | spectrum | {"click": click, "chosen": chosen}
    seen = ipywidgets.HBox([spectrum["energies"], spectrum["log"]])
    body = [click, grid, chosen, spectrum["spectrum"], seen]
    return _form(body, obj.store, parts, hint, display)


def _buttons(obj: ElementPicker) -> dict[str, ipywidgets.Button]:
    """Return a button for each element; those without lines cannot be clicked."""
    buttons = {}
    for symbol in filter(None, _CELLS):
        # the usual padding leaves no room for two letters
        layout = {"width": "auto", "margin": "1px", "padding": "0"}
        button = ipywidgets.Button(description=symbol, layout=layout)
        if not obj.has_lines(symbol):
            button.disabled = True
            button.tooltip = "no line that the spectrum could show"
        buttons[symbol] = button
    return buttons


def _spectrum(obj: ElementPicker) -> dict[str, ipywidgets.Widget]:
    """Return the image of the spectrum, and what says which part of it is shown."""
    low, high = obj.energies
    image = ipywidgets.Image(format="png", layout={"max_width": "960px"})
    energies = ipywidgets.FloatRangeSlider(
        value=obj.usual_range,
        min=low,
        max=high,
        step=0.1,
        description="keV:",
        continuous_update=False,
        readout_format=".1f",
        layout={"width": "40em"},
    )
    log = ipywidgets.Checkbox(obj.log, description="logarithmic", indent=False)

    def look(_: Any) -> None:
        low, high = energies.value
        if low < high:
            obj.energy_range = (low, high)

    def draw(_: Any = None) -> None:
        image.value = obj.draw()
        if obj.energy_range is None:
            # it shows what is drawn, which is no wish of the user
            energies.unobserve(look, "value")
            energies.value = obj.usual_range
            energies.observe(look, "value")

    def rescale(_: Any) -> None:
        obj.log = log.value

    obj.observe(draw, "states, energy_range, log")
    energies.observe(look, "value")
    log.observe(rescale, "value")
    draw()
    return {"spectrum": image, "energies": energies, "log": log}


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
