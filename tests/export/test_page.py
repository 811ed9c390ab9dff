"""The page as a file: what it says of a run, what it holds, and how `export` writes it."""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.export.page import SCRIPTS, about_of
from model.export.page_engine import make_engine
from model.runs.weights import BUILT_IN, write_weights
from model.scoring.loaded import load_best
from tests.export.test_export import RUN
from tests.runs.fresh_runs import fresh_run
from tests.small import in_process, trained


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture(scope="module")
def page(work: Path) -> str:
    ran = in_process("export", "--run", RUN, "--to", "doodle.html", cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert "proved on" in ran.stdout
    return (work / "doodle.html").read_text("utf-8")


def held(page: str, name: str) -> str:
    return page.partition(f'id="{name}">')[2].partition("<")[0]


def test_the_page_knows_its_run_and_how_good_it_is(work: Path, page: str) -> None:
    about = json.loads(held(page, "about"))
    assert about["name"] == "001-sketch-classifier"
    assert about["classes"] == json.loads((work / RUN / "config.json").read_text())["classes"]
    assert about["synthetic"]
    assert about["accuracy"]["split"] == "validation"
    assert 0 < about["accuracy"]["top1"] <= about["accuracy"]["top3"] <= 1
    scored = in_process("evaluate", "--run", RUN, "--split", "validation", "--json", cwd=work)
    by_class = json.loads(scored.stdout)["classes"]
    expected = [k for k, word in enumerate(about["classes"]) if (by_class[word]["top1"] or 0) >= 0.5]
    assert about["asked"] == expected


def test_the_page_holds_the_weights_in_half_precision(work: Path, page: str) -> None:
    from model.runs.opening import open_run

    engine = json.loads(held(page, "about"))["engine"]
    content = base64.b64decode(held(page, "weights"))
    halves = np.frombuffer(content[: 2 * engine["halves"]], "<f2")
    assert len(content) == 2 * engine["halves"] + 4 * engine["scales"]
    kernel = load_best(open_run(work / RUN)).variables["params"]["conv1"]["kernel"].astype(np.float16)
    np.testing.assert_array_equal(halves[: kernel.size], kernel.reshape(-1))  # four channels, which need no filling


def test_the_policy_allows_the_page_s_own_script_and_style_only(page: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    for text, kind in ((script, "script-src"), (style, "style-src")):
        assert f"{kind} 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert not re.findall(r"\son\w+=|\sstyle=", page.partition("<style>")[0] + page.partition("</style>")[2][:9000])
    assert not re.findall(r"""(?:src|href|action)=["'](?!data:)""", page)


def test_every_script_of_the_folder_is_in_the_page() -> None:
    folder = Path(sys.modules["model.export.page"].__file__ or "").parent / "page"
    assert sorted(SCRIPTS) == sorted(path.name for path in folder.glob("*.js"))
    assert (SCRIPTS[0], SCRIPTS[-1]) == ("engine.js", "main.js")
    for path in folder.glob(
        "*.js"
    ):  # comments are left out line by line, which a text of several lines would not stand
        assert all(line.count("`") % 2 == 0 for line in path.read_text("utf-8").splitlines()), path


def test_words_cannot_leave_their_place_in_the_page(tmp_path: Path) -> None:
    words = ("</script><script>alert(1)", "<!--", "猫", 'a"b', "\u2028")
    fresh_run(tmp_path / "runs" / "001", "sketch-classifier", words)
    ran = in_process("export", "--run", "runs/001", "--to", "doodle.html", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "doodle.html").read_text("utf-8")
    assert json.loads(held(page, "about"))["classes"] == list(words)
    assert page.count("</script>") == 4


def test_a_run_without_its_shards_makes_a_page_without_scores(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketch-classifier")
    ran = in_process("export", "--run", "run", "--to", "doodle.html", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "the page knows no scores, and is proved with the built-in sample" in ran.stderr
    about = json.loads(held((tmp_path / "doodle.html").read_text("utf-8"), "about"))
    assert (about["accuracy"], about["drawings_trained_on"]) == (None, None)
    assert about["asked"] == list(range(len(run.config.classes)))


def test_a_card_of_another_form_is_no_error(tmp_path: Path) -> None:
    from model.runs.opening import open_run

    built_in = open_run(BUILT_IN / "sketchnet-345")
    loaded = load_best(built_in)
    card: dict[str, Any] = json.loads((built_in.folder / "card.json").read_text())
    del card["test_by_class"]["cat"]
    card["test_by_class"]["dog"] = "half"
    write_weights(tmp_path / "one", built_in.config, card, loaded.variables)
    about = about_of(make_engine(load_best(open_run(tmp_path / "one"))), None)
    classes = built_in.config.classes
    assert not {classes.index("cat"), classes.index("dog")} & set(about["asked"])
    card["test"] = "good"
    write_weights(tmp_path / "two", built_in.config, card, loaded.variables)
    assert about_of(make_engine(load_best(open_run(tmp_path / "two"))), None)["accuracy"] is None


def test_json_and_the_same_bytes_again(work: Path, page: str) -> None:
    ran = in_process("export", "--run", RUN, "--to", "again.htm", "--json", cwd=work)
    described = json.loads(ran.stdout)
    content = (work / "again.htm").read_bytes()
    assert content == page.encode()
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert described["bytes"] == len(content)
    assert described["proof"]["drawings"] > 0
    assert described["proof"]["largest_difference"] < 1e-4


def test_a_weight_that_half_precision_does_not_hold_is_named(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketch-classifier")
    loaded = load_best(run)
    loaded.variables["params"]["conv1"]["kernel"] = loaded.variables["params"]["conv1"]["kernel"] * np.float32(1e8)
    with pytest.raises(Exception, match=r"params/conv1/kernel: has a weight that is not finite in half precision"):
        make_engine(loaded)


def test_another_suffix_is_refused(work: Path) -> None:
    ran = in_process("export", "--run", RUN, "--to", "doodle.page", cwd=work)
    assert (ran.returncode, ".onnx or .html" in ran.stderr) == (2, True)
