"""Tables and results show once, and on a screen, wherever they are asked for."""

import doctest
import io
import warnings
from contextlib import redirect_stdout

import pytest

TITLE = "phase  element"  # of the table, and of nothing else
CALL = "s.print_quantification()"
# Lines and characters of a terminal of usual size.
SCREEN = 40, 100


@pytest.fixture
def decomposed(eds):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"output_dimension": 2, "n_init": 1, "max_iter": 20}
        eds.decomposition(algorithm="espm", print_info=False, **options)
    return eds


@pytest.fixture
def shell(decomposed):
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.user_ns["s"] = decomposed
    yield shell
    InteractiveShell.clear_instance()


def shown(shell, cell):
    """What a cell shows: its text, and its tables of HTML."""
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        shell.run_cell(cell, store_history=True).raise_error()
    tables = [output.data["text/html"] for output in captured.outputs]
    return captured.stdout, tables


CELLS = (CALL, f"{CALL};", f"table = {CALL}", f"table = {CALL}; table")


@pytest.mark.parametrize("cell", CELLS)
def test_a_notebook_shows_the_table_once(shell, cell):
    text, tables = shown(shell, cell)
    assert TITLE not in text
    (table,) = tables
    assert table.count("<table") == 1


def test_the_next_cell_shows_it_again(shell):
    shown(shell, f"table = {CALL}")
    assert len(shown(shell, "table")[1]) == 1
    assert TITLE in shown(shell, "print(table)")[0]
    assert len(shown(shell, f"for _ in range(2): {CALL}")[1]) == 2


def test_a_script_shows_it_once(decomposed, capsys):
    table = decomposed.print_quantification()
    assert capsys.readouterr().out.count(TITLE) == 1
    assert str(table).count(TITLE) == 1


def test_a_prompt_of_python_shows_it_once(decomposed):
    """Doctest shows what the prompt does."""
    example = doctest.DocTestParser().get_doctest(
        f">>> {CALL}\n", {"s": decomposed}, "example", None, 0
    )
    text = io.StringIO()
    with redirect_stdout(io.StringIO()):
        doctest.DocTestRunner(verbose=False).run(example, out=text.write)
    assert text.getvalue().count(TITLE) == 1
    assert "<Report of phases 0, 1 in at.%>" in text.getvalue()


@pytest.mark.parametrize("show", [repr, str])
def test_a_result_takes_a_screen(decomposed, show):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"output_dimension": 8, "n_init": 1, "max_iter": 10}
        decomposed.decomposition(algorithm="espm", print_info=False, **options)
    text = show(decomposed.analysis_results())
    lines, width = SCREEN
    assert text.startswith("Found 8 phases")
    assert sum(1 + len(line) // width for line in text.splitlines()) <= lines
