"""Kills and failures at each disk operation of a command, and what is left after each.

The promise: the folder holds the old set or the new one, whole; a failure is one line and exit code 6; and the same
command run again ends in the bytes of one that was never disturbed, with nothing left behind.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faults_trials import ACTIONS, KILLS, Arm, Ended, Row, command, hidden, replaced, visible
from faults_world import NETWORK, World, ndjson

Tree = dict[str, str]
FAILURES = ("no space", "input/output error", "no space from then on", "short write")
_SCORES = ("epoch", "step", "train_", "validation_", "learning_rate")
_MARKS = ("manifest.json", "pictures.json", "bitmaps.json")  # without one a folder is no set, and readers say so


@dataclass(frozen=True)
class Task:
    """A command that is disturbed.

    Attributes:
        start: the folder that each trial begins with a copy of, and in which the command runs.
        arguments: the command.
        piecemeal: whether each file is complete by itself, so that a part of them may be new.
        tree: what is compared: the hashes of what a folder holds.
        prints: whether what is printed on stdout is compared too.
        trials: the most trials of kills, and of failures.
        timeout: the seconds after which a command hangs.
    """

    start: Path
    arguments: tuple[str, ...]
    piecemeal: bool = False
    tree: Callable[[Path], Tree] = visible
    prints: bool = False
    trials: int = 400
    timeout: float = 60.0


def pieces(world: World) -> dict[str, Callable[[], Iterator[Row]]]:
    """Each piece by name; a row for the kills and one for the failures."""

    def piece(name: str, make: Callable[[ExitStack], Task]) -> Callable[[], Iterator[Row]]:
        return lambda: disturbed(name, world, make)

    made: dict[str, Callable[[ExitStack], Task]] = {
        "shards, over an old set": lambda _: Task(world.built, _shards(world, "1")),
        "shards, 2 workers": lambda _: Task(world.built, _shards(world, "2"), trials=150),
        "shards, into an empty folder": lambda _: Task(world.made("empty"), _shards(world, "2"), trials=150),
        "repair": lambda _: Task(world.damaged(), ("repair", "set"), piecemeal=True),
        "render pictures": lambda _: Task(_pictures(world, "png"), _drawn("png", "3"), trials=150),
        "render pictures --format npy": lambda _: Task(_pictures(world, "npy"), _drawn("npy", "3"), trials=150),
        "render sheet": lambda _: Task(world.built, ("render", "sheet", "set", "--to", "sheet.png")),
        "sample": lambda _: Task(world.made("sampled"), ("sample", "--drawings-per-class", "20"), piecemeal=True),
        "simplify": lambda _: Task(
            world.made("simple"), ("simplify", str(world.sources), "--to", "simplified"), piecemeal=True
        ),
        "download": lambda stack: Task(world.made("empty-download"), _download(world, stack), piecemeal=True),
        "train": lambda _: _train(world),
        "export": lambda _: Task(
            world.trained, ("export", "--run", "runs/001", "--to", "model.onnx"), trials=8, timeout=200
        ),
        "sweep": lambda _: _sweep(world),
    }
    return {f"disk: {name}": piece(f"disk: {name}", make) for name, make in made.items()}


def _shards(world: World, workers: str) -> tuple[str, ...]:
    return ("shards", str(world.sources), "--to", "set", "--num-shards", "3", "--workers", workers)


def _drawn(form: str, count: str) -> tuple[str, ...]:
    options = ("--format", form, "--drawings-per-class", count, "--size", "28")
    return ("render", "pictures", "built", "--to", "pictures", *options)


def _pictures(world: World, form: str) -> Path:
    """Pictures of other drawings, over which new ones are written."""
    shards = ("shards", str(world.sources), "--to", "built")
    return world.made(f"drawn-{form}", shards, _drawn(form, "2"))


def _download(world: World, stack: ExitStack) -> tuple[str, ...]:
    words = {word: "\n".join(ndjson(word, 3000, 7)).encode() + b"\n" for word in ("cat", "dog")}
    address = stack.enter_context(world.bucket(words))
    return ("download", *words, "--to", "got", "--source", address)


def _train(world: World) -> Task:
    settings = ("--shards", "shards/few", *NETWORK, "--epochs", "2", "--run", "runs/002")
    return Task(world.trained, ("train", *settings), tree=runs, trials=40, timeout=120)


def _sweep(world: World) -> Task:
    settings = ("--shards", "shards/few", *NETWORK, "--epochs", "1", "--lr", "0.01,0.001", "--curves", ".curves.png")
    return Task(world.trained, ("sweep", *settings), tree=runs, prints=True, trials=20, timeout=120)


def runs(folder: Path) -> Tree:
    """What is comparable of the runs of a folder: the names of its files, the arrays, and the scores of each epoch."""
    found = {}
    for name, value in visible(folder).items():
        path = folder / name
        if path.name == "metrics.jsonl":
            lines = map(json.loads, path.read_text().splitlines())
            scores = [{key: line[key] for key in sorted(line) if key.startswith(_SCORES)} for line in lines]
            found[name] = hashlib.sha256(repr(scores).encode()).hexdigest()
        elif ".tfevents." not in name:  # TensorBoard's, a file for each attempt
            found[name] = value if path.suffix == ".safetensors" else "present"  # the others hold times
    return found


def disturbed(name: str, world: World, make: Callable[[ExitStack], Task]) -> Iterator[Row]:
    """The rows of a task: kills, then failures."""
    if world.shim.missing:
        yield Row(name, skipped=world.shim.missing)
        return
    world.warm()
    with ExitStack() as stack:
        task = make(stack)
        trials = Trials(world, task)
        for kinds, label in ((KILLS, "killed"), (FAILURES, "failing disk")):
            started = time.monotonic()
            row = Row(f"{name}, {label}")
            for action, nth in trials.chosen(kinds):
                trials.one(row, action, nth)
            row.seconds = time.monotonic() - started
            yield row


class Trials:
    """The trials of one task."""

    def __init__(self, world: World, task: Task) -> None:
        self.world, self.task = world, task
        self.old = task.tree(task.start)
        state = replaced(world.state, task.start)
        world.report.unlink(missing_ok=True)
        ended = self._run(Arm("list", 0, state))
        assert ended.code == 0, ended
        self.operations = [line.split("\t")[1] for line in world.report.read_text().splitlines()]
        self.new, self.hidden, self.out = task.tree(state), hidden(state), ended.out

    def chosen(self, kinds: tuple[str, ...]) -> list[tuple[str, int]]:
        """The operations to disturb, and how: each in each way, or as many as are wanted, spread evenly over them."""
        every = [
            (kind, number)
            for number, operation in enumerate(self.operations, 1)
            for kind in kinds
            if operation == "write" or kind not in ("kill in a write", "short write")
        ]
        count = self.world.count(self.task.trials)
        if len(every) <= count:
            return every
        share = len(every) / count
        return [every[int((number + self.world.dice.random()) * share)] for number in range(count)]

    def _run(self, arm: Arm | None = None) -> Ended:
        before = None if arm is None else lambda: self.world.shim.arm(arm, self.world.report)
        return command(self.task.arguments, self.world.state, before=before, timeout=self.task.timeout)

    def one(self, row: Row, action: str, nth: int) -> None:
        """One trial."""
        state = replaced(self.world.state, self.task.start)
        self.world.report.unlink(missing_ok=True)
        ended = self._run(Arm(action, nth, state))
        hit = self.world.report.read_text().split("\n")[0] if self.world.report.exists() else ""
        if not hit:  # threads wrote in another order, and fewer operations
            return
        is_kill = action in KILLS
        outcome, faults = self._left(state)
        codes = (-9,) if is_kill else (0, 6)
        if foul := ended.foul(*codes):
            faults.append(foul)
        if not is_kill:
            outcome = f"exit {ended.code}, {outcome}"
            if ended.code == 0 and self.task.tree(state) != self.new:
                faults.append("exit code 0 without the new set")
        again = self._run()
        if foul := again.foul(0):
            faults.append(f"the next run: {foul}")
        elif differing := _differing(self.task.tree(state), self.new):
            faults.append(f"after the next run other files: {differing}")
        elif self.task.prints and _without_minutes(again.out) != _without_minutes(self.out):
            faults.append(f"the next run prints something else: {again.out!r}")
        elif superfluous := sorted(hidden(state) - self.hidden):
            faults.append(f"left behind: {', '.join(superfluous[:3])}")
        number, operation, path = hit.split("\t")
        where = f"{action} at operation {number} of {len(self.operations)}, {operation} of {path or 'the folder'}: "
        row.add(action, outcome, where + "; ".join(faults) if faults else None)

    def _left(self, state: Path) -> tuple[str, list[str]]:
        """What a disturbed command has left: old, new, or between them, which only some may be."""
        tree = self.task.tree(state)
        if tree == self.old:
            return "old", []
        if tree == self.new:
            return "new", []
        if self.task.tree is not visible:  # a run grows
            return "begun", []
        foreign = [name for name, value in tree.items() if value not in (self.old.get(name), self.new.get(name))]
        if self.task.piecemeal and not foreign:
            return "some files new", []
        if not foreign and not any(Path(name).name in _MARKS for name in tree if not name.startswith("built/")):
            return "unfinished, no set", []
        return "mixed", [f"neither the old set nor the new one: {_differing(tree, self.new)}"]


def _without_minutes(text: str) -> str:
    """A table without its numbers of one decimal, the minutes that runs took; scores have a percent sign."""
    return re.sub(r"\b\d+\.\d(?=\s)", "?", text)


def _differing(tree: Tree, expected: Tree) -> str:
    """The first names that differ between two trees."""
    names = sorted(name for name in {*tree, *expected} if tree.get(name) != expected.get(name))
    return ", ".join(names[:4])


assert set(KILLS + FAILURES) <= set(ACTIONS)
