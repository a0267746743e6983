"""The `meshlam` command: reads the arguments, runs one module of `commands`, prints its result.

Exit codes: 0 done; the error's (see errors.py); 1 with a traceback for what nobody foresaw. With --json exactly
one JSON object is printed: the result, or {"error": {"kind", "message", "hint"}, "exit_code"}.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn, TextIO

from meshlam_core import __version__, quiet
from meshlam_core.cli_arguments import add_commands
from meshlam_core.errors import UsageError
from meshlam_core.progress import TerminalProgress


class _Parser(argparse.ArgumentParser):
    """argparse ends the program on a mistake; this raises, so that --json covers mistakes too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"See `{self.prog} --help`.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    if argv is not None:
        return _run(arguments, as_json, sys.stdout)
    with io.TextIOWrapper(quiet.take_stdout(), encoding="utf-8", newline="\n") as stdout:
        quiet.filter_native_noise()
        try:
            code = _run(arguments, as_json, stdout)
            stdout.flush()
        except BrokenPipeError:  # the reader of the output went away, as with `| head`
            return 1
    return code


def _run(arguments: list[str], as_json: bool, stdout: TextIO) -> int:
    progress = TerminalProgress()
    try:
        parsed = _parse(arguments, stdout)
        if parsed is None:
            return 0
        command = import_module(f"meshlam_core.commands.{parsed.command}")
        result: dict[str, Any] = command.run(parsed, progress)
        progress.close()
        text = json.dumps(result, ensure_ascii=False) if as_json else command.show(result)
        stdout.write(text + "\n")
        return int(result.get("exit_code", 0))
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        progress.close()
        return _report(error, as_json, stdout)


def _parse(arguments: list[str], stdout: TextIO) -> argparse.Namespace | None:
    """The arguments, or None when only the help or the version was wanted."""
    parser = _Parser(
        prog="meshlam", description="One portrait in, one animatable, textured head out.", allow_abbrev=False
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)  # each command lists it
    names = add_commands(parser)
    try:
        with contextlib.redirect_stdout(stdout):  # for the help
            parsed = parser.parse_args(arguments)
    except SystemExit:
        return None
    if parsed.version:
        stdout.write(f"meshlam {__version__}\n")
        return None
    if parsed.command is None:
        parser.error(f"a command was expected: {', '.join(names)}")
    return parsed


def _report(error: BaseException, as_json: bool, stdout: TextIO) -> int:
    """Tell what went wrong, in one sentence where it was foreseen and with the traceback where not."""
    from meshlam_core.commands.failures import describe_failure

    failure = describe_failure(error)
    if as_json:
        stdout.write(json.dumps(failure, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"meshlam: {failure['error']['message']} {failure['error']['hint']}".rstrip() + "\n")
    return int(failure["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
