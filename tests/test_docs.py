"""The documentation against the code: its Python prints what the page shows, its commands parse, its links lead.

A page's Python blocks run in order, in a folder where `sketchpipe sample` and `sketchpipe shards` have been. A block
behind `<!-- not run -->` is only shown. What a ```text block right behind a Python block says is compared.
"""

import contextlib
import dataclasses
import doctest
import importlib
import importlib.util
import io
import json
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer

import model
import pipeline
from model.config import TrainConfig
from model.runs.card import FORMAT_VERSION, RunCard
from model.runs.checkpoint import Position
from pipeline import errors
from pipeline.cli.app import app
from pipeline.cli.sample import sample
from pipeline.shards.folder import build_folder
from pipeline.shards.manifest import Manifest, ShardFile, SourceCount
from pipeline.shards.options import BuildOptions
from pipeline.shards.schema import SCHEMA
from pipeline.sources import binary, rejects
from pipeline.sources.chunks import Chunk
from pipeline.sources.files import Source
from pipeline.sources.readers import scan_source
from tests.small import trained

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)|<(?:img|source)[^>]* (?:src|srcset)=\"([^\"]+)\"")
_PROMPT = re.compile(r"^\$ (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, its text, its line in the page, what a ```text right behind it says."""

    language: str
    text: str
    line: int
    not_run: bool
    output: str | None


def page_text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    text = page_text(page)
    found = list(_FENCE.finditer(text))
    out = []
    for k, match in enumerate(found):
        before = text[: match.start()].rstrip()
        behind = found[k + 1] if k + 1 < len(found) else None
        adjacent = behind is not None and behind[1] == "text" and not text[match.end() : behind.start()].strip()
        output = behind[2] if behind is not None and adjacent else None
        line = text.count("\n", 0, match.start()) + 2
        out.append(Block(match[1], match[2], line, before.endswith("<!-- not run -->"), output))
    return out


def commands(page: str) -> list[str]:
    """What stands behind a prompt in the page's console blocks, each part of a pipe by itself."""
    lines = [line for block in blocks(page) if block.language == "console" for line in _PROMPT.findall(block.text)]
    return [part.strip() for line in lines for part in re.split(r"\s(?:\||&&)\s", line)]


def modules() -> list[str]:
    found = [pipeline.__name__, model.__name__]
    for package in (pipeline, model):
        found += [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return found


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sketches/sample` and `shards/sample`, as the two commands make them."""
    folder = tmp_path_factory.mktemp("docs")
    sample(to=folder / "sketches/sample")
    build_folder([str(folder / "sketches/sample")], folder / "shards/sample", BuildOptions())
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run_in_order_and_print_what_the_page_shows(
    page: str,
    sample_folder: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(sample_folder, tmp_path, dirs_exist_ok=True)
    if page in ("docs/runs.md", "docs/library.md"):  # read a run
        shutil.copytree(trained(tmp_path_factory) / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language != "python" or block.not_run:
            continue
        # As many lines before the code as in the page, so that a traceback names the page's own line.
        code = compile("\n" * (block.line - 1) + block.text, page, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, namespace)
        if block.output is not None:
            assert printed.getvalue() == block.output, f"{page}:{block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_every_sketchpipe_command_parses(page: str) -> None:
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if not words or Path(words[0]).name != "sketchpipe":
            continue
        command: Any = typer.main.get_command(app)
        arguments = words[1:]
        while hasattr(command, "commands"):
            assert arguments, f"{page}: {line}"
            assert arguments[0] in command.commands, f"{page}: {line}"
            command = command.commands[arguments.pop(0)]
        try:
            command.make_context(command.name, arguments).close()
        except Exception as error:
            pytest.fail(f"{page}: {line}: {error}")


@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_names_targets_and_variables_of_the_makefile(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    variables = set(re.findall(r"^(\w+) \?=", makefile, re.MULTILINE))
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if words and words[0] == "make":
            for word in words[1:]:
                known = word.partition("=")[0] in variables if "=" in word else word in targets
                assert known, f"{page}: {line}: {word}"


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: str) -> None:
    text = _FENCE.sub("", page_text(page))
    for match in _LINK.finditer(text):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{page}: {link}"


@pytest.mark.parametrize("name", modules())
def test_doctests_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_generated_parts_are_up_to_date() -> None:
    program = [sys.executable, str(ROOT / "docs/generate.py"), "--check"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_command_page_gives_every_exit_code_of_the_errors() -> None:
    codes = {error.exit_code for error in vars(errors).values() if isinstance(error, type)}
    table = page_text("docs/cli.md").partition("\n| code | meaning |\n")[2].partition("\n\n")[0]
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert codes | {0, 1, 130, 143} == rows


def test_command_page_names_every_command_and_option_and_all_of_make() -> None:
    text = page_text("docs/cli.md")
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        for inner, leaf in getattr(command, "commands", {"": command}).items():
            heading = f"### sketchpipe {name} {inner}".rstrip()
            section = text.partition(f"{heading}\n")[2].partition("\n### ")[0]
            assert section, heading
            options = [option for parameter in leaf.params for option in parameter.opts if option.startswith("--")]
            assert [option for option in options if f"`{option}" not in section] == [], heading
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: help (.+)$", makefile, re.MULTILINE)[1].split()  # type: ignore[index]
    variables = re.findall(r"^(\w+) \?=", makefile, re.MULTILINE)
    assert [name for name in (*targets, *variables) if f"\n| `{name}` |" not in text] == []


def test_index_names_every_page() -> None:
    index = page_text("docs/README.md")
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"({path.name})" not in index] == ["README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = page_text(page)
    folders = "pipeline|model|benchmarks|tests|docs|.ci|.github"
    for path in re.findall(rf"(?<![\w/.])((?:{folders})/[\w/.-]*[\w/])", text):
        assert (ROOT / path).exists(), f"{page}: {path}"
    known = {path.name for folder in folders.split("|") for path in (ROOT / folder).rglob("*.py")}
    assert sorted({name for name in re.findall(r"`(\w+\.py)`", text) if name not in known}) == [], page


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_name_of_ours_that_a_page_names_exists(page: str) -> None:
    names = re.findall(r"(?<![\w/.-])((?:pipeline|model)(?:\.[A-Za-z_]\w*)+)", page_text(page))
    for name in sorted({name for name in names if name.rpartition(".")[2] not in ("onnx", "html", "safetensors")}):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{page}: {name}: {error}")


def test_chart_of_the_readme_shows_the_figures_of_the_benchmarks_page() -> None:
    spec = importlib.util.spec_from_file_location("draw_figures", ROOT / "docs/draw_figures.py")
    assert spec is not None
    assert spec.loader is not None
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    for theme in (figures.LIGHT, figures.DARK):
        drawn = (ROOT / f"docs/speed-{theme.name}.svg").read_text(encoding="utf-8")
        assert drawn == figures.speed(theme), "run docs/draw_figures.py"
    assert all(f"{rate:,}" in page_text("README.md") for _, _, rate in figures.rates()[:4])


def test_shards_page_describes_every_column_field_and_reason() -> None:
    text = page_text("docs/shards.md")
    fields = {field.name for kind in (Manifest, ShardFile, SourceCount, BuildOptions, rejects.Reject)
              for field in dataclasses.fields(kind)}  # fmt: skip
    reasons = {name for kinds in (rejects.REASONS, binary.REASONS) for name, _ in kinds.values()}
    nothing = np.empty(0, np.uint8)
    (damaged,) = scan_source(Source(Path(), "", None), Chunk(nothing, 0, 0, None, nothing, "cut")).rejects("", 0)
    reasons.add(damaged.reason)
    names = {*SCHEMA.names, *fields, *reasons, "format", "format_version", "checksum"}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_runs_page_describes_every_file_and_every_field(tmp_path_factory: pytest.TempPathFactory) -> None:
    text = page_text("docs/runs.md")
    (folder,) = (trained(tmp_path_factory) / "runs").iterdir()
    files = [path for path in folder.rglob("*") if path.is_file()]
    fields = {field for path in files if path.suffix == ".json" for field in json.loads(path.read_text())}
    fields |= {field for line in (folder / "metrics.jsonl").read_text().splitlines() for field in json.loads(line)}
    fields |= {field.name for kind in (RunCard, TrainConfig, Position) for field in dataclasses.fields(kind)}
    assert len(files) >= 8
    assert [name for name in sorted({path.name for path in files}) if name not in text] == []
    assert [name for name in sorted({*fields, "skipped"}) if f"`{name}`" not in text] == []
    assert f"Run format {FORMAT_VERSION}." in text


def test_design_page_names_every_dependency() -> None:
    text = page_text("docs/design.md")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[>=\[]", requirement)[0] for requirement in wanted]
    assert [name for name in names if name != "sketchpipe" and f"`{name}`" not in text] == []
