"""The command `sketchpipe` as a process: its signals, and errors as one line and an exit code.

This module imports little, so that `main` takes over the signals as early as it can.
"""

from __future__ import annotations

import os
import sys

from pipeline import interrupts

# Of objects: so many come into being while JAX and Flax are imported, and collecting garbage then takes 0.2 s.
_GC_THRESHOLD = 1_000_000

# The threads that NumPy's OpenBLAS starts when it is imported wait in a loop for as long as 2 to this power of the CPU's
# cycles, 26 by default, before they sleep. That takes 0.04 s from the threads that import the rest.
_BLAS_WAIT = "4"

# How a thread that cannot be started, and a library that cannot be loaded, say that there is no memory.
_NO_MEMORY = ("start new thread", "Cannot allocate memory", "failed to map segment", "std::bad_alloc")
_LOWER = "--workers, --batch or the number of drawings"


def main() -> None:
    """Run the command line and end this process; expected errors become one line on stderr and an exit code."""
    interrupts.install()
    import gc

    gc.set_threshold(_GC_THRESHOLD)
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", _BLAS_WAIT)
    try:
        run()
    except BaseException as error:
        if (number := interrupts.raised()) is not None:  # Typer may have turned it into an exit code or another error
            interrupts.end(number)
        if isinstance(error, SystemExit):
            interrupts.finish(error.code if isinstance(error.code, int) else 0)
        raise


def run() -> None:
    """Run the command line in a process that goes on afterwards, and leave its signals alone.

    Raises:
        SystemExit: always, with the exit code; expected errors are one line on stderr by then.
    """
    try:
        _run()
    except (MemoryError, RuntimeError, ImportError) as error:
        if not isinstance(error, MemoryError) and not any(said in str(error) for said in _NO_MEMORY):
            raise
        _stop(f"not enough memory ({str(error) or 'an allocation failed'}); close other programs, or lower {_LOWER}", 6)


def _run() -> None:
    import io

    from pipeline import first_calls
    from pipeline.cli.app import WrongUsage, app
    from pipeline.cli.options import say
    from pipeline.cli.usage import usage_message
    from pipeline.errors import SketchpipeError

    first_calls.tell_with(say)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: a terminal may lack characters
    try:
        sys.exit(app(prog_name="sketchpipe", standalone_mode=False))
    except SketchpipeError as error:
        _stop(str(error), error.exit_code)
    except WrongUsage as error:
        _stop(usage_message(error), 2)
    except SystemExit as error:
        if _came_of_broken_pipe(error):  # the reader of the output has ended, as `head` does: not an error
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"{where}{error.strerror or error}", _code_of(error))


def _came_of_broken_pipe(error: BaseException | None) -> bool:
    """Whether `error` was raised while a broken pipe was handled, as by Typer, which then exits itself."""
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__context__
    return error is not None


def _code_of(error: OSError) -> int:
    return 3 if isinstance(error, FileNotFoundError | IsADirectoryError) else 6


def _stop(message: str, code: int) -> None:
    from pipeline.cli.options import say

    with interrupts.last_line():
        say(f"sketchpipe: {message}")
    sys.exit(code)


if __name__ == "__main__":
    main()
