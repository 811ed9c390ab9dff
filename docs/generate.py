"""Writes the generated parts of the pages: the commands of cli.md, the modules of design.md, the trials of trust.md.

Without --check it also writes what the networks cost, to model/costs.json; tests/test_networks.py checks that file.

    python docs/generate.py            write them
    python docs/generate.py --check    write nothing; exit 1 and name the pages that are out of date

A generated part lies between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. Commands are read from the
signatures and docstrings of the command functions, layers from pyproject.toml, modules from the first lines of their
docstrings.
"""

import argparse
import ast
import inspect
import json
import re
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

ROOT = Path(__file__).parents[1]
# Subpackages in reading order, those that depend on little first. What is missing here comes last.
SUBPACKAGES = (
    *(
        "storage",
        "sample",
        "sources",
        "sources/converters",
        "sources/scanner",
        "shards",
        "rendering",
        "loading",
        "pictures",
        "download",
    ),
    *("bench", "cli", "compute", "runs", "training", "training/tensorboard", "scoring", "charts", "report", "export"),
)
TYPES = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


def main() -> None:
    """Write the generated parts, or say which are out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is out of date")
    check = parser.parse_args().check
    parts: dict[str, dict[str, Callable[[], str]]] = {
        "docs/cli.md": {"commands": commands},
        "docs/design.md": {
            "layers": layers,
            "pipeline": lambda: modules("pipeline"),
            "model": lambda: modules("model"),
        },
        "docs/trust.md": {"trials": trials},
    }
    stale = []
    for page, generated in parts.items():
        path = ROOT / page
        before = after = path.read_text(encoding="utf-8")
        for name, generate in generated.items():
            after = with_part(after, name, generate(), page)
        if before != after:
            stale.append(page)
            if not check:
                path.write_text(after, encoding="utf-8")
    if not check:
        write_costs()
    if stale and check:
        sys.exit(f"out of date: {', '.join(stale)}; run `make docs`")
    print(f"{'written' if stale else 'nothing to do'}: {', '.join(stale or parts)}")


def write_costs() -> None:
    """Write the layers and operations of each network, from which any number of classes can be computed."""
    from model.networks import forward_flops, parameter_table
    from model.specs import COSTS, NETWORKS

    few, many, costs = 10, 345, []
    for name in NETWORKS:
        *rows, last = parameter_table(name, few)[0]
        slope = (forward_flops(name, many) - forward_flops(name, few)) / (many - few)
        lines = [f"  {json.dumps([row.layer, row.shape, row.parameters])}" for row in rows]
        costs.append(
            f'{json.dumps(name)}: {{"last": {json.dumps([last.layer, last.shape[0]])}, '
            f'"flops": {forward_flops(name, few) - slope * few:.0f}, "flops_per_class": {slope:.1f}, "layers": [\n'
            + ",\n".join(lines)
            + "\n]}"
        )
    COSTS.write_text("{\n" + ",\n".join(costs) + "\n}\n")


def with_part(text: str, name: str, part: str, page: str) -> str:
    """The page's text with this part between its markers."""
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        sys.exit(f"{page}: the markers of the generated part {name!r} are missing or stand twice")
    return f"{text.partition(begin)[0]}{begin}\n{part.strip()}\n\n{end}{text.partition(end)[2]}"


def trials() -> str:
    """The table of trials of docs/faults.json, which benchmarks/faults.py writes."""
    rows = json.loads((ROOT / "docs" / "faults.json").read_text(encoding="utf-8"))
    if not rows:
        return "No trials are recorded."
    total = sum(row["trials"] for row in rows.values())
    faults = sum(len(row["faults"]) for row in rows.values())
    machines = ", ".join(sorted({row["machine"] for row in rows.values()}))
    lines = [f"| {_cell(name)} | {' | '.join(map(_cell, row['cells'][:3]))} |" for name, row in rows.items()]
    return "\n".join(
        [
            f"{total:,} trials, {faults:,} faults. {machines}.",
            "",
            "| piece | trials | ended | faults |",
            "|---|---|---|---|",
            *lines,
        ]
    )


def commands() -> str:
    """Every command: usage, description, example, arguments and options."""
    from pipeline.cli.app import app

    found = list(_commands(app, "sketchpipe"))
    index = [f"| [`{name}`](#{name.replace(' ', '-')}) | {_cell(_escaped(_paragraphs(f)[0]))} |" for name, f in found]
    sections = ["\n".join(["| command | what it does |", "|---|---|", *index])]
    return "\n\n".join([*sections, *(_section(name, function) for name, function in found)])


def _commands(app: typer.Typer, prefix: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    groups = {group.typer_instance: group.name for group in app.registered_groups if group.typer_instance}
    for command in app.registered_commands:
        if command.callback is not None and not command.hidden:
            yield f"{prefix} {command.name or command.callback.__name__}", command.callback
    for group, name in groups.items():
        yield from _commands(group, f"{prefix} {name}")


def _section(name: str, function: Callable[..., Any]) -> str:
    """A command's part of the page."""
    hints = typing.get_type_hints(function, include_extras=True)
    arguments, options = [], []
    usage = f"{name} [OPTIONS]"
    for parameter in inspect.signature(function).parameters.values():
        kind, *metadata = typing.get_args(hints[parameter.name])
        info = next(entry for entry in metadata if isinstance(entry, ArgumentInfo | OptionInfo))
        required = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            metavar = info.metavar or parameter.name.upper()
            usage += f" {metavar if required else f'[{metavar}]'}{'...' if _is_list(kind) else ''}"
            arguments.append(f"| `{_cell(metavar)}` | {_meaning(info, kind)} |")
        else:
            default = "required" if required else _default(parameter.default)
            options.append(f"| `{_cell(_spelling(parameter.name, info, kind))}` | {default} | {_meaning(info, kind)} |")
    parts = [f"### {name}", f"```text\n{usage}\n```"]
    for paragraph in _paragraphs(function):
        example = re.match(r"Examples?: ", paragraph)
        parts.append(f"```console\n$ {paragraph[example.end() :]}\n```" if example else _escaped(paragraph))
    if arguments:
        parts.append("\n".join(["| argument | meaning |", "|---|---|", *arguments]))
    if options:
        parts.append("\n".join(["| option | default | meaning |", "|---|---|---|", *options]))
    return "\n\n".join(parts)


def _paragraphs(function: Callable[..., Any]) -> list[str]:
    text = inspect.cleandoc(function.__doc__ or "").replace("\b\n", "").partition("\nArgs:\n")[0]
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _spelling(name: str, info: OptionInfo, kind: Any) -> str:
    """An option as it is typed, with what follows it."""
    # Inside Annotated, Typer's `default` is the first of the declared names.
    declared = (info.default, *(info.param_decls or ()))
    names = [entry for entry in declared if isinstance(entry, str) and entry.startswith("-")]
    names = names or [f"--{name.replace('_', '-')}"]
    plain = _plain(kind)
    if plain is bool:
        return ", ".join(names)
    choices = _choices(plain)
    follows = "|".join(choices) if choices else info.metavar or TYPES.get(plain, "TEXT")
    return f"{', '.join(names)} {follows}"


def _choices(kind: Any) -> list[str]:
    return [str(value) for value in typing.get_args(kind)] if typing.get_origin(kind) is typing.Literal else []


def _plain(kind: Any) -> Any:
    """The type without `| None` and `list[...]`."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next(member for member in typing.get_args(kind) if member is not type(None))
    return typing.get_args(kind)[0] if _is_list(kind) else kind


def _is_list(kind: Any) -> bool:
    return any(typing.get_origin(member) is list for member in (kind, *typing.get_args(kind)))


def _default(value: Any) -> str:
    return "" if value is None or value is False or value == [] else f"`{_cell(str(value))}`"


def _meaning(info: ArgumentInfo | OptionInfo, kind: Any) -> str:
    text = _cell(_escaped(" ".join((info.help or "").split())))
    return f"{text} May be given several times." if isinstance(info, OptionInfo) and _is_list(kind) else text


def _escaped(text: str) -> str:
    """Text in which Markdown sees no emphasis and no HTML, but the code that stands in backticks."""
    parts = text.split("`")
    return "`".join(re.sub(r"([<*])", r"\\\1", part) if k % 2 == 0 else part for k, part in enumerate(parts))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def layers() -> str:
    """The layers of each package from the top down, as the import contracts of pyproject.toml have them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rows = ["| package | layer | subpackages and modules |", "|---|---|---|"]
    for contract in project["tool"]["importlinter"]["contracts"]:
        for package in contract.get("containers", []):
            for k, layer in enumerate(contract["layers"]):
                names = ", ".join(f"`{name}`" for name in re.split(r"\s*[|:]\s*", layer))
                rows.append(f"| `{package}` | {len(contract['layers']) - k} | {names} |")
    return "\n".join(rows)


def modules(package: str) -> str:
    """A table for each folder of a package: its modules, each with the first line of its docstring."""
    folders: dict[str, list[Path]] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        folders.setdefault(path.parent.relative_to(ROOT / package).as_posix(), []).append(path)
    order = {".": -1, **{name: place for place, name in enumerate(SUBPACKAGES)}}
    parts = []
    for name in sorted(folders, key=lambda name: (order.get(name, len(SUBPACKAGES)), name)):
        folder = package if name == "." else f"{package}/{name}"
        rows = [
            f"| `{path.name}` | {_cell(_escaped(_first_line(path)))} |"
            for path in folders[name]
            if path.stem != "__init__"
        ]
        parts.append(f"#### `{folder}/`\n\n{_escaped(_first_line(ROOT / folder / '__init__.py'))}")
        if rows:
            parts.append("\n".join(["| module | what it is |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        sys.exit(f"{path.relative_to(ROOT)}: the module has no docstring")
    return docstring.splitlines()[0]


if __name__ == "__main__":
    main()
