from __future__ import annotations

import io

from meshlam_core.progress import TerminalProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line_that_is_cleared_in_the_end() -> None:
    terminal = Terminal()
    progress = TerminalProgress(terminal)
    progress("tracking", 0.5, "fitting")
    assert terminal.getvalue().endswith("[##########..........] tracking: fitting")
    progress.close()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "\n" not in terminal.getvalue()


def test_a_pipe_shows_nothing() -> None:
    pipe = io.StringIO()
    progress = TerminalProgress(pipe)
    progress("tracking", 0.5, "fitting")
    progress.close()
    assert pipe.getvalue() == ""


def test_a_fraction_out_of_range_does_not_break_the_line() -> None:
    terminal = Terminal()
    TerminalProgress(terminal)("tracking", 7.0, "")
    assert "[####################] tracking" in terminal.getvalue()
