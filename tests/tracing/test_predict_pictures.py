"""`sketchpipe predict` with pictures."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.errors import InputError
from pipeline.pictures.svg import encode_svg
from pipeline.sample.doodles import sample_line
from pipeline.sources.read import read_named
from pipeline.tracing.read import read_picture
from tests.small import command, in_process, sketchpipe, trained
from tests.tracing.pictures import lined

GUESSED = "order and direction of its strokes are guessed"
PRETRAINED = ("--run", "sketchnet-345", "--json")


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A picture of two lines."""
    path = tmp_path / "line.png"
    lined([(40, 40), (160, 120)], [(60, 150), (120, 150)], width=4).save(path)
    return path


def test_pictures_and_files_of_drawings_are_predicted_in_one_command(work: Path, line: Path) -> None:
    folder = line.parent
    lined([(40, 40), (160, 120)]).save(folder / "no-suffix", "JPEG")
    lined([(40, 40), (160, 120)]).save(folder / "wrong.png", "WEBP")
    (folder / "line.svg").write_text('<svg><path stroke="red" d="M0 0C4 4 9 4 9 9"/></svg>')
    (folder / "cat.ndjson").write_text(sample_line("cat", 1))
    names = ("line.png", "no-suffix", "cat.ndjson", "wrong.png", "line.svg")
    ran = in_process("predict", *(str(folder / name) for name in names), "--json", cwd=work)
    found = [json.loads(one) for one in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr
    assert [one["drew"] for one in found] == [None, None, "cat", None, None]
    assert ran.stderr.count(GUESSED) == 3
    assert f"{folder}/line.svg" not in ran.stderr


def test_a_picture_from_stdin_is_predicted_as_from_a_file(work: Path, line: Path) -> None:
    of_file = in_process("predict", str(line), "--json", cwd=work)
    ran = subprocess.run(
        command("predict", "-", "--json"), cwd=work, input=line.read_bytes(), capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout.decode()) == (0, of_file.stdout)
    assert f"stdin: traced; {GUESSED}" in ran.stderr.decode()


def test_image_shows_the_traced_drawing(work: Path, line: Path) -> None:
    ran = in_process("predict", str(line), "--image", str(line.parent / "seen.png"), cwd=work)
    assert ran.returncode == 0
    with Image.open(line.parent / "seen.png") as picture:
        assert np.asarray(picture).max() > 100


def test_wide_lines_are_warned_of_and_others_are_not(work: Path, line: Path) -> None:
    assert "hides details" not in in_process("predict", str(line), cwd=work).stderr
    lined([(40, 40), (160, 120)], width=14).save(line)
    ran = in_process("predict", str(line), cwd=work)
    assert ran.returncode == 0
    (warning,) = (one for one in ran.stderr.splitlines() if "hides details" in one)
    assert warning.endswith("draw larger, or with a thinner pen")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", "a picture that cannot be read"),
        (b"\xff\xd8\xff\xe0", "a picture that cannot be read"),
        (b"RIFF\x00\x00\x00\x00WEBP", "a picture that cannot be read"),
        (b"<svg/>", "an SVG file without a line that is shown"),
        (b'<svg><path stroke="red" d="M0 0L"/></svg>', ":1: path: expected a number"),
        (b"GIF89a" + bytes(20), "a picture (GIF), which has no strokes; `sketchpipe predict` takes PNG"),
        (b"<html><svg/></html>", "a web page or XML"),
    ],
)
def test_what_cannot_be_traced_is_one_line_and_exit_3(work: Path, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(content)
    ran = in_process("predict", str(path), cwd=work)
    assert (ran.returncode, ran.stdout) == (3, "")
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"sketchpipe: {path}")
    assert said in last


def test_an_empty_picture_is_exit_3(work: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    ran = in_process("predict", str(tmp_path / "black.png"), cwd=work)
    assert ran.returncode == 3
    assert "black.png: no line was found in the picture" in ran.stderr


def test_shards_and_simplify_refuse_pictures_and_name_predict(work: Path, line: Path) -> None:
    for name in ("shards", "simplify"):
        ran = sketchpipe(name, str(line), "--to", str(line.parent / "to"), cwd=work)
        assert ran.returncode == 3
        assert "a picture (PNG), which has no strokes; `sketchpipe predict` takes" in ran.stderr


def test_a_link_to_a_picture_is_followed_and_a_folder_refused(tmp_path: Path) -> None:
    lined([(40, 40), (160, 120)]).save(tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    assert read_picture(tmp_path / "a.png", "a.png", print) is not None
    with pytest.raises(InputError, match=r"here: cannot be read \(is a folder"):
        read_picture(tmp_path, "here", print)


def rendered(strokes: Sequence[Sequence[Sequence[int]]], path: Path, width: int = 6) -> None:
    """Draw a drawing, black on white."""
    image = Image.new("L", (320, 320), 255)
    pen = ImageDraw.Draw(image)
    for x, y in strokes:
        points = [(32 + a, 32 + b) for a, b in zip(x, y, strict=True)]
        pen.line(points, fill=0, width=width, joint="curve")
        for a, b in points:
            pen.ellipse([a - width / 2, b - width / 2, a + width / 2, b + width / 2], fill=0)
    image.save(path)


def predicted(printed: str) -> list[str]:
    return [json.loads(one)["predicted"] for one in printed.splitlines()]


def test_renders_of_drawings_are_mostly_predicted_as_their_strokes_are(quickdraw: Path, tmp_path: Path) -> None:
    names, svgs, lines = [], [], []
    for word in ("bicycle", "cat", "fish", "house", "sun", "eyeglasses", "flower", "tree", "umbrella", "envelope"):
        first = next(read_named([str(quickdraw / "simplified" / f"{word}.ndjson")])).take(np.array([3]))
        names.append(str(tmp_path / f"{word}.png"))
        rendered(first.strokes(0), Path(names[-1]))
        svgs.append(str(tmp_path / f"{word}.svg"))
        Path(svgs[-1]).write_bytes(encode_svg(first, 300))
        lines.append(json.dumps({"drawing": first.strokes(0)}))
    (tmp_path / "true.ndjson").write_text("\n".join(lines))
    true, traced, drawn = (
        predicted(in_process("predict", *files, *PRETRAINED, cwd=tmp_path).stdout)
        for files in ([str(tmp_path / "true.ndjson")], names, svgs)
    )
    assert drawn == true
    assert len(traced) == len(true) == 10
    assert sum(a == b for a, b in zip(traced, true, strict=True)) >= 7
