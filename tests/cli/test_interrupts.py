"""Ctrl-C and SIGTERM end the command at any moment: one line, exit code 130 or 143, and never a traceback."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline import interrupts
from tests.small import SMALL, sample_shards, sample_sketches, trained

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
BEGIN = "import gc, signal, sys, time; from pipeline import interrupts; interrupts.install()\n"
INTERRUPTED = (130, "sketchpipe: interrupted\n")


def ended(program: str, *numbers: int) -> tuple[int, str]:
    """Run a program, send it signals once it has written "ready", and return its exit code and the rest of stderr."""
    with subprocess.Popen([sys.executable, "-c", BEGIN + program], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        if numbers:
            assert process.stderr.readline() == "ready\n"
        for number in numbers:
            process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    return process.returncode, said


READY = "print('ready', file=sys.stderr, flush=True)\n"
INTERRUPT = "signal.raise_signal(signal.SIGINT)"
UNWINDING = "with interrupts.unwinding():\n "
LOST = {
    "callback of the garbage collector": f"gc.callbacks.append(lambda *_: {INTERRUPT}); gc.collect()",
    "__del__": f"type('Object', (), {{'__del__': lambda _: {INTERRUPT}}})()",
    "bare except": f"""
 try: {INTERRUPT}
 except BaseException: time.sleep(60)
""",
}


@pytest.mark.parametrize("where", LOST)
@pytest.mark.parametrize("block", ["if True:\n ", UNWINDING], ids=["at once", "unwinding"])
def test_a_signal_is_not_lost_where_an_exception_would_be(where: str, block: str) -> None:
    assert ended(f"{block}{LOST[where]}\ntime.sleep(60)") == INTERRUPTED


def test_a_signal_in_a_long_call_ends_the_process_all_the_same() -> None:
    program = "import hashlib; interrupts.watch()\n" + READY + "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
    assert ended(program, signal.SIGINT) == INTERRUPTED
    assert ended(program, signal.SIGTERM) == (143, "sketchpipe: terminated\n")


def test_the_line_says_how_work_is_resumed() -> None:
    program = f"with interrupts.advising('try again'): {INTERRUPT}"
    assert ended(program) == (130, "sketchpipe: interrupted; try again\n")


def test_unwinding_runs_finally_blocks_and_a_second_signal_does_not_wait_for_them() -> None:
    program = f"""
try:
    with interrupts.unwinding():
        try: {INTERRUPT}
        finally: print('removed', file=sys.stderr)
except KeyboardInterrupt:
    interrupts.end(interrupts.raised())
"""
    assert ended(program) == (130, "removed\nsketchpipe: interrupted\n")
    assert ended(program.replace("finally: ", f"finally: {INTERRUPT}; ")) == INTERRUPTED


def test_the_end_runs_exit_functions_and_writes_what_is_buffered() -> None:
    program = """
import atexit
atexit.register(lambda: print("exit function"))
print("buffered", end=", ")
interrupts.finish(3)
"""
    ran = subprocess.run([sys.executable, "-c", BEGIN + program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, "buffered, exit function\n", "")


def test_a_signal_adds_no_line_to_the_one_that_says_how_a_command_ended() -> None:
    program = f"""
with interrupts.last_line():
    {INTERRUPT}
    print('sketchpipe: ended', file=sys.stderr, flush=True)
"""
    assert ended(program + "interrupts.finish(3)") == (3, "sketchpipe: ended\n")
    assert ended(program + INTERRUPT) == (130, "sketchpipe: ended\n")
    assert ended(program + f"gc.callbacks.append(lambda *_: {INTERRUPT}); gc.collect()") == (130, "sketchpipe: ended\n")


def commands(factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    shards = ("--shards", str(sample_shards(factory)))
    return {
        "train": ("train", *shards, *SMALL, "--epochs", "1"),
        "predict": ("predict", "--random", "--run", str(trained(factory) / "runs" / "001-sketch-classifier")),
        "shards": ("shards", str(sample_sketches(factory)), "--to", "built"),
        "sweep": ("sweep", *shards, *SMALL, "--epochs", "1", "--lr", "0.01,0.001"),
    }


@pytest.mark.parametrize("first", interrupts.SIGNALS)
@pytest.mark.parametrize("second", interrupts.SIGNALS)
@pytest.mark.parametrize("block", ["if True:\n  ", "with interrupts.unwinding():\n  "], ids=["at once", "unwinding"])
def test_three_signals_at_once_are_one_line(block: str, first: int, second: int) -> None:
    program = f"try:\n {block}{READY}  time.sleep(60)\nexcept BaseException: interrupts.end(interrupts.raised())"
    code, said = ended(program, first, second, first)
    assert (code, said) in [(130, "sketchpipe: interrupted\n"), (143, "sketchpipe: terminated\n")], said


@pytest.mark.long
@pytest.mark.parametrize("name", ["train", "predict", "shards", "sweep"])
def test_every_moment_ends_in_one_line_or_complete(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    arguments = [SKETCHPIPE, *commands(tmp_path_factory)[name]]
    dice, seconds = random.Random(name), 0.0
    for k in range(5):
        work = tmp_path / str(k)
        work.mkdir()
        start = time.perf_counter()
        with subprocess.Popen(
            arguments, cwd=work, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            if k:  # the first one is not disturbed
                time.sleep(0.3 + dice.random() * seconds)  # Python's own start is over after 0.3 s
                for _ in range(dice.randint(1, 3)):  # of both kinds, also while the first is handled
                    if dice.random() < 0.5:
                        process.send_signal(dice.choice(interrupts.SIGNALS))
                    else:
                        with suppress(ProcessLookupError):
                            os.killpg(process.pid, dice.choice(interrupts.SIGNALS))
                    time.sleep(dice.choice([0, 0, 0.001, 0.05, 0.3]))
            said = process.communicate(timeout=120)[1]
        seconds = seconds or time.perf_counter() - start
        lines = [line for line in said.splitlines() if line.startswith("sketchpipe: ")]
        assert not re.search("Traceback|Exception ignored|Fatal", said)
        assert (process.returncode, len(lines)) in ([(0, 0), (130, 1), (143, 1)] if k else [(0, 0)]), said


@pytest.mark.parametrize("name", ["train", "predict", "inspect"])
def test_commands_that_read_shards_import_neither_pandas_nor_polars(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    arguments = {**commands(tmp_path_factory), "inspect": ("inspect", str(sample_shards(tmp_path_factory)))}[name]
    program = (
        "import atexit, sys; from pipeline.cli.main import main\n"
        "atexit.register(lambda: print('large:', *{'pandas', 'polars'} & sys.modules.keys()))\n"
        "main()"
    )
    ran = subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "large:"
