import base64
import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from model.report import prefixes
from model.runs.calibration import CALIBRATION, Calibration, write_calibration
from model.runs.folder import Run
from model.runs.opening import open_run
from model.runs.state import load_checkpoint
from model.scoring import calibrate
from model.scoring.loaded import load_best
from pipeline.pictures.names import safe_name
from pipeline.shards.folder import build_folder
from pipeline.shards.options import BuildOptions
from tests.small import in_process, sample_shards, sample_sketches, trained

RUN = "runs/001-sketch-classifier"
HOSTILE = {
    "cat": "<script>alert(1)</script>",
    "fish": "a & b \"c\" 'd' {{ 7 * 7 }}",
    "tree": "</script><b>drawn",
    "sun": "\u202ea\0b\rc",
}
SECTIONS = ("calibration", "classes", "confusion", "pairs", "mistakes", "unsure", "labels", "strokes", "early")
ADDRESSES = ("src", "href", "action", "data", "poster", "srcset", "xlink:href", "background", "formaction", "ping")
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """A page, taken apart."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.events: list[str] = []
        self._open: list[str] = []
        self.feed(self.text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"] or ""] if "id" in found and tag not in ("path", "clippath") else []
        self.addresses += [value or "" for name, value in attrs if name in ADDRESSES]
        self.events += [name for name in found if name.startswith("on")]
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        (self.scripts if inside == "script" else self.words).append(data)

    @property
    def told(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(*options: str, cwd: Path, name: str = "report.html") -> tuple[Page, dict]:
    ran = in_process("evaluate", "--json", "--report", name, *options, cwd=cwd)
    assert ran.returncode == 0, ran.stderr
    assert re.search(rf"report: {name} \([\d.]+ kB\)\n$", ran.stderr)
    return Page(cwd / name), json.loads(ran.stdout)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained(tmp_path_factory), tmp_path_factory.mktemp("report") / "work"))


@pytest.fixture(scope="module")
def page(work: Path) -> tuple[Page, dict]:
    return report(cwd=work)


def test_a_report_has_every_section_and_the_scores_that_evaluate_prints(page: tuple[Page, dict], work: Path) -> None:
    found, scores = page
    assert [one for one in found.ids if one in SECTIONS] == list(SECTIONS)
    assert len(set(found.ids)) == len(found.ids)
    low, high = scores["interval"]
    right = round(scores["top1"] * scores["drawings"])
    for said in (
        f"{scores['top1']:.2%} predicted correctly",
        f"{right} of {scores['drawings']} drawings, 95% interval {low:.2%} to {high:.2%} (Wilson, n = 56)",
        f"{scores['top3']:.2%} top-3",
        f"{scores['map3']:.4f} MAP@3",
        f"{scores['balanced_top1']:.2%} top-1, mean over classes",
        f"{scores['ece']:.2%} expected calibration error",
        f"run {RUN}",
        "network sketch-classifier, its best checkpoint, after 2 of 2 epochs",
        "split test, 56 drawings",
        "of the synthetic sample",
    ):
        assert said in found.told
    assert f"<title>{scores['top1']:.2%} predicted correctly, 10 classes: sketchpipe report</title>" in found.text
    as_text = in_process("evaluate", cwd=work).stdout
    assert f"top-1 {scores['top1']:.2%}, top-3 {scores['top3']:.2%}" in as_text
    for word, one in scores["classes"].items():
        assert f"{word} {one['drawings']}" in found.told


def test_a_report_asks_for_nothing_and_tells_its_pictures(page: tuple[Page, dict]) -> None:
    found, _ = page
    assert found.addresses
    for address in found.addresses:
        assert address.startswith(("data:", "#"))
    assert "url(" not in re.sub(r"url\(#\w+\)", "", found.text)
    assert "@import" not in found.text
    assert found.events == []
    assert {address for address in found.addresses if re.fullmatch("#[a-z]+", address)} <= {
        f"#{one}" for one in found.ids
    }
    for image in found.images:
        assert image["alt"]
        png = base64.b64decode((image["src"] or "").removeprefix("data:image/png;base64,"))
        assert png.startswith(b"\x89PNG")
    assert {"meta", "nav", "main", "svg", "table", "th"} <= set(found.tags)
    assert len(found.text) < 2_000_000


def test_the_same_evaluation_gives_the_same_bytes_in_place_of_what_was_there(
    page: tuple[Page, dict], work: Path
) -> None:
    (work / "new").mkdir()
    (work / "new" / "report.html").write_text("before")
    assert report(cwd=work, name="new/report.html")[0].text == page[0].text
    assert [entry.name for entry in (work / "new").iterdir()] == ["report.html"]


def test_all_splits_mirrored_and_calibrated_are_said(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "MOST_DRAWINGS", 50)
    monkeypatch.setattr(calibrate, "FEWEST_DRAWINGS", 50)
    found, scores = report("--split", "all", "--mirror", "--calibrate", cwd=work, name="all.html")
    (work / RUN / CALIBRATION).unlink()
    assert scores["drawings"] == 600
    assert "each drawing and its mirror image" in found.told
    assert "The run was trained on some of these drawings" in found.told
    assert f"temperature {scores['temperature']:.4f}, fitted on validation drawings" in found.told
    assert "The temperature was fitted on some of these drawings" in found.told
    assert "with the temperature 1 it would be" in found.told
    assert "of 50 drawings, a random sample of the 600" in found.told


def test_shards_that_may_hold_what_it_was_trained_on_are_said(
    work: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "MOST_DRAWINGS", 50)
    run = shutil.copytree(work / RUN, tmp_path / "run")
    loaded = load_best(open_run(run))
    write_calibration(run, Calibration(2.5, "00001-0000000", loaded.arrays_sha256, "abc", 100, 1.5, 1.25, 0.25, 0.125))
    other = str(sample_shards(tmp_path_factory, "small-splits", splits="0.1,0.1,0.8"))
    found, _ = report("--run", "run", "--shards", other, "--split", "all", cwd=tmp_path)
    assert (
        "The run may have been trained on some of these drawings: its scores here may overstate its accuracy"
        in found.told
    )
    assert "The network may have been trained on some of these drawings" in found.told
    told = "temperature 1; the temperature in calibration.json was fitted for another checkpoint, 00001-0000000, and is"
    assert told in found.told


def test_a_run_in_a_folder_whose_name_is_no_utf8_is_reported(work: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"b\xff")
    shutil.copytree(work / RUN, tmp_path / name)
    shards = str(work / "shards" / "sample")
    found, _ = report("--run", name, "--shards", shards, "--split", "validation", cwd=tmp_path)
    assert r"run b\udcff network" in found.told
    assert "trained on some" not in found.told


def test_words_of_any_kind_are_harmless(work: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (tmp_path / "sketches").mkdir()
    for path in sample_sketches(tmp_path_factory).glob("*.ndjson"):
        lines = path.read_text().replace(
            f'"word":"{path.stem}"', f'"word":{json.dumps(HOSTILE.get(path.stem, path.stem))}'
        )
        (tmp_path / "sketches" / path.name).write_text(lines)
    build_folder([str(tmp_path / "sketches")], tmp_path / "shards", BuildOptions())
    run = open_run(work / RUN)
    checkpoint = run.checkpoint(best=True)
    assert checkpoint is not None
    config = replace(run.config, classes=tuple(HOSTILE.get(word, word) for word in run.config.classes))
    hostile = Run(tmp_path / "run", config, run.card)
    hostile.create()
    hostile.save(*load_checkpoint(checkpoint), best=True)
    found, scores = report("--run", "run", "--shards", "shards", cwd=tmp_path, name="new/folder/report.html")
    assert set(HOSTILE.values()) <= set(scores["classes"])
    assert "<script>alert" not in found.text
    assert "</script><b>" not in found.text
    assert not {"\0", "\r", "\u202e"} & set(found.text)
    assert found.tags.count("script") == 1
    assert found.events == []
    for word in HOSTILE.values():
        assert (word if word.isprintable() else safe_name(word)) in found.told


def test_what_many_classes_tell_a_script_is_no_markup() -> None:
    from model.report.page import template

    words = [*HOSTILE.values(), *(f"class {k}" for k in range(40))]
    told = {"words": words, "rows": [[k, 1] for k in range(43)], "similar": list(range(43))}
    shown = template().environment.from_string("<script>{{ told|tojson }}</script>").render(told=told)
    inside = shown.removeprefix("<script>").removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == told


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        (".", 6, "is a folder; name a file for the report"),
        ("shards", 6, "is a folder; name a file for the report"),
        ("-", 2, "-: the report goes to a file; give it a name that ends in .html"),
        ("/proc/report.html", 6, "/proc/report.html: cannot be written (no file can be created in /proc: "),
        ("report.png", 2, "the report is an HTML file; let its name end in .html"),
        ("file/report.html", 6, "file is not a folder); choose another place"),
    ],
)
def test_a_path_that_cannot_be_written_is_said_before_the_work(work: Path, path: str, code: int, said: str) -> None:
    (work / "file").touch()
    ran = in_process("evaluate", "--report", path, "--run", "no run at all", cwd=work)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (code, "", 1)
    assert said in ran.stderr
