"""A drawing being drawn: which one, its frames, the file, the command."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import InputError, UsageError
from pipeline.pictures.replay import ReplayConfig, encode_gif, find_drawing, random_drawing, replay
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.read import STROKE_COLUMNS, open_split
from pipeline.shards.shuffle import SPLITS
from tests.shards.builds import build, record, records
from tests.shards.builds import write as write_lines
from tests.small import in_process, sample_shards

CROSS = [[[20, 200], [128, 128]], [[110, 110], [30, 230]], [[40, 40], [40, 40]]]
SMALL = ReplayConfig(RenderConfig(64), seconds=1.0)
FRAMES = 20


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


def cross() -> Drawings:
    return from_strokes([CROSS], ["cross"])


def frames_of(gif: bytes) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int], int]:
    """(F, H, W, 3) what a viewer shows, each frame's milliseconds, and how often it is repeated (0: for ever)."""
    with Image.open(io.BytesIO(gif)) as image:
        shown, times = [], []
        for k in range(image.n_frames):
            image.seek(k)
            shown.append(np.asarray(image.convert("RGB")))
            times.append(image.info["duration"])
        return np.array(shown), times, image.info["loop"]


@pytest.mark.parametrize("encoding", ["palette", "gray"])
@pytest.mark.parametrize("framing", ["corner", "centred"])
def test_the_last_frame_is_the_drawing_as_training_sees_it(encoding: str, framing: str) -> None:
    config = RenderConfig(50, encoding=encoding, framing=framing)
    frames = replay(cross(), ReplayConfig(config, seconds=1.0))
    assert frames.shape == (FRAMES, 50, 50, config.channels)
    assert (frames[-1] == render(cross(), config)[0]).all()


def test_a_straight_line_grows_by_the_same_piece_in_every_frame() -> None:
    line = from_strokes([[[[0, 255], [128, 128]]]], ["line"])
    lit = (replay(line, SMALL) > 0).any(axis=(1, 3)).sum(axis=1)
    assert (np.abs(lit - 64 * np.arange(1, FRAMES + 1) / FRAMES) <= 1).all()  # antialiased: a column more at the end


def test_strokes_come_one_after_the_other_and_none_is_taken_back() -> None:
    frames = replay(cross(), SMALL)
    light = (frames > 0).any(axis=3)
    assert (light[1:] >= light[:-1]).all()
    red = (frames[..., 0] > 200) & (frames[..., 1] == 0)
    white = (frames > 100).all(axis=3)
    first_red = int(np.argmax(red.any(axis=(1, 2))))
    assert 0 < first_red < FRAMES - 1
    assert white[first_red - 1].sum() >= 40 * 180 / 256 * 0.9
    assert light[-1, 9:12, 9:12].any()  # the dot, which has no length


@pytest.mark.parametrize(
    "strokes", [[[[7], [9]]], [[[7, 7], [9, 9]]], [[[1], [1]], [[2, 2], [3, 3]], [[9, 9, 9], [1, 1, 1]]]]
)
def test_dots_alone_are_a_replay_too(strokes: list[list[list[int]]]) -> None:
    dots = from_strokes([strokes], ["dots"])
    frames = replay(dots, SMALL)
    assert (frames[-1] == render(dots, SMALL.render)[0]).all()
    assert frames[0].any()


def test_centred_frames_do_not_move_as_the_drawing_grows() -> None:
    frames = replay(cross(), ReplayConfig(RenderConfig(64, framing="centred"), seconds=1.0))
    first = (frames[3] > 200).all(axis=2)
    assert first.any()
    assert (frames[-1][first] > 200).any(axis=1).mean() > 0.8  # but where a later stroke crosses it


def test_a_gif_shows_the_frames_one_after_the_other_for_ever_and_the_last_for_a_second() -> None:
    frames = replay(cross(), SMALL)
    gif = encode_gif(frames)
    shown, times, loop = frames_of(gif)
    assert (len(shown), loop) == (FRAMES, 0)
    assert times == [50] * (FRAMES - 1) + [1000]
    assert (np.abs(shown.astype(int) - frames) <= 2).all()
    assert gif == encode_gif(frames)
    assert len(gif) < 6000


def test_frames_of_more_colours_than_a_gif_has_come_close(shards: Path) -> None:
    drawing = random_drawing(shards, "train", ("bicycle",), 1)
    frames = replay(drawing, ReplayConfig(RenderConfig(128, encoding="order"), seconds=1.0))
    assert len(np.unique(frames.reshape(-1, 3), axis=0)) > 256
    shown, _, _ = frames_of(encode_gif(frames))
    assert ((shown.astype(float) - frames) ** 2).mean() < 255**2 / 10**3.5  # 35 dB
    assert (shown[frames.sum(axis=3) == 0] == 0).all()


def test_every_drawing_is_found_by_its_key_id(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in", cat=records("cat", range(300)))
    build(source, tmp_path / "shards", num_shards=5, seed=3)
    for name in SPLITS:
        split = open_split(tmp_path / "shards", name)
        for group in range(len(split.row_groups)):
            drawings = split.read_row_group(group, (*STROKE_COLUMNS, "key_id"))
            for k in range(0, len(drawings), 7):
                found, count = find_drawing(tmp_path / "shards", int(drawings.key_id[k]))
                assert (found.strokes(0), count) == (drawings.strokes(k), 1)
    for key in (1, 12345, 1 << 63):
        with pytest.raises(InputError, match=f"no drawing has the key_id {key}"):
            find_drawing(tmp_path / "shards", key)
    with pytest.raises(UsageError, match="expected a whole number"):
        find_drawing(tmp_path / "shards", 1 << 64)


def test_any_drawing_is_one_of_the_classes_and_the_same_seed_takes_it_again(shards: Path) -> None:
    taken = [random_drawing(shards, "train", ("sun", "cat"), seed) for seed in range(30)]
    assert {drawing.words[drawing.word[0]] for drawing in taken} == {"cat", "sun"}
    assert len({int(drawing.key_id[0]) for drawing in taken}) > 20
    assert random_drawing(shards, "train", ("sun", "cat"), 5).key_id == taken[5].key_id
    with pytest.raises(InputError, match='has no class "sunn"; did you mean sun'):
        random_drawing(shards, "train", ("sunn",), 0)


def test_the_command_writes_the_same_gif_again_and_ends_with_the_documented_codes(shards: Path, tmp_path: Path) -> None:
    def run(*words: object) -> tuple[int, str]:
        ran = in_process("render", "replay", *map(str, words), cwd=tmp_path)
        assert ran.stdout == ""
        return ran.returncode, ran.stderr.strip()

    any_of = (shards, "--random", "--seed", 7, "--size", 32, "--seconds", 0.5)
    code, said = run(*any_of)
    assert (code, said[:13]) == (0, 'replay.gif: "')
    key = said.split("key_id ")[1].split(",")[0]
    assert run(shards, "--key-id", key, "--size", 32, "--seconds", 0.5, "--to", "below/again.gif")[0] == 0
    assert (tmp_path / "below" / "again.gif").read_bytes() == (tmp_path / "replay.gif").read_bytes()
    assert run(shards) == (2, "sketchpipe: give --key-id N, or --random for any drawing")
    assert run(shards, "--random", "--key-id", key)[0] == 2
    assert run(shards, "--key-id", key, "--split", "test") == (
        2,
        "sketchpipe: --seed, --split and --classes need --random",
    )
    assert run(*any_of, "--size", 600) == (2, "sketchpipe: size 600: expected 16 to 512 pixels")
    assert run(shards, "--random", "--seed", -1) == (2, "sketchpipe: seed -1: expected 0 or more")
    assert run(*any_of, "--seconds", "nan") == (2, "sketchpipe: --seconds nan: expected a finite number")
    assert run(shards, "--key-id", 1)[0] == 3
    assert run("nowhere", "--random") == (
        3,
        "sketchpipe: nowhere: no such folder; make shards with `sketchpipe shards SOURCE --to nowhere`",
    )
    assert run(*any_of, "--to", "below") == (6, "sketchpipe: below: is a folder; name a file for the picture")
    assert run(*any_of, "--to", "replay.gif/x.gif")[0] == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below", "replay.gif"]


def test_a_split_without_drawings_is_an_error(tmp_path: Path) -> None:
    twins = b"".join(record("cat", 5, [[[k, 9], [k, 7]]]) for k in range(3))
    build(write_lines(tmp_path / "in", cat=twins), tmp_path / "shards", splits="1,0,0")
    ran = in_process("render", "replay", "shards", "--random", cwd=tmp_path)
    assert (ran.returncode, "its test split has no drawings" in ran.stderr) == (3, True)
    ran = in_process("render", "replay", "shards", "--key-id", str(5 << 21), "--seconds", "0.2", cwd=tmp_path)
    assert (ran.returncode, "3 drawings have this key_id; this is the first of them" in ran.stderr) == (0, True)
