"""Where a folder for the Hugging Face Hub is written, and what it never replaces."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.export.hub import check_hub_folder, hub_files, write_hub_folder
from model.runs.sealed_folder import write_sealed
from model.scoring.loaded import load_best
from pipeline.errors import OutputError
from tests.export.test_hub import FILES, contents
from tests.runs.fresh_runs import fresh_run
from tests.small import in_process, trained


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    run = fresh_run(tmp_path_factory.mktemp("runs") / "001-mine", "sketch-classifier", image_size=32)
    return hub_files(load_best(run), None, None)


def test_a_folder_with_anything_else_or_with_changes_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    to = tmp_path / "hub"
    write_hub_folder(to, files)
    check_hub_folder(to)
    for name, message in (
        ("notes.txt", r"holds notes\.txt, which sketchpipe did not make"),
        ("onnx", "holds onnx, which sketchpipe did not make"),
        ("README.md", r"README\.md: was changed since it was written, and is not replaced"),
        ("manifest.json", "is not replaced, because sketchpipe did not write it"),
    ):
        kept = (to / name).read_bytes() if (to / name).exists() else None
        (to / name).write_text("mine")
        with pytest.raises(OutputError, match=message):
            write_hub_folder(to, files)
        assert (to / name).read_text() == "mine"
        if kept is None:
            (to / name).unlink()
        else:
            (to / name).write_bytes(kept)
    (to / "README.md").unlink()
    with pytest.raises(OutputError, match="was changed"):
        write_hub_folder(to, files)
    write_sealed(tmp_path / "weights", {name: files[name] for name in FILES if name in files and name != "README.md"})
    with pytest.raises(OutputError, match="`sketchpipe export` did not write it"):
        write_hub_folder(tmp_path / "weights", files)


def test_a_foreign_onnx_model_is_kept(tmp_path: Path, files: dict[str, bytes]) -> None:
    mine = tmp_path / "hub" / "onnx" / "model.onnx"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OutputError):
        write_hub_folder(tmp_path / "hub", files)
    assert mine.read_text() == "mine"


def test_what_killed_processes_prepared_is_removed_or_put_back_and_nothing_else(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    gone = 2**22 + 1  # no process of that number: Linux has none above 2^22
    (tmp_path / ".hub.2024").mkdir()
    (tmp_path / f".hub.sketchpipe-{gone}").mkdir()
    write_hub_folder(tmp_path / "hub", files)
    (tmp_path / "hub").rename(tmp_path / f".hub.sketchpipe-{gone}.aside")
    write_hub_folder(tmp_path / "hub", files)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hub.2024", "hub"]


@pytest.mark.parametrize(
    ("to", "code", "message"),
    [
        ("shards/", 6, "holds sample, which sketchpipe did not make; choose an empty folder"),
        ("runs/001-sketch-classifier", 6, "which sketchpipe did not make"),
        ("shards/sample/manifest.json/", 6, "is a file, not a folder; choose another folder with --to"),
        ("/proc/new/", 6, "cannot be written (no file can be created in /proc: "),
        (f"{'x' * 250}/", 6, "cannot be written (File name too long)"),
        ("gs://bucket/folder/", 2, "--to gs://bucket/folder/: object stores"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_line(work: Path, to: str, code: int, message: str) -> None:
    before = sorted(work.rglob("*"))
    ran = in_process("export", "--to", to, cwd=work)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr.splitlines()[-1]
    assert sorted(work.rglob("*")) == before


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OutputError, match=r"\.: is the current folder, which cannot be replaced"):
        write_hub_folder(Path(), files)


def test_a_link_to_a_folder_is_kept(tmp_path: Path, files: dict[str, bytes]) -> None:
    write_hub_folder(tmp_path / "hub", files)
    (tmp_path / "link").symlink_to("hub")
    write_hub_folder(tmp_path / "link", files)
    assert (tmp_path / "link").is_symlink()
    assert sorted(contents(tmp_path / "hub")) == FILES[:-1]


_KILLED = """
import os, signal, sys
from pathlib import Path
from model.runs import sealed_folder

calls, sync = 0, sealed_folder.sync

def counting(path):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    sync(path)

sealed_folder.sync = counting
sealed_folder.write_sealed(Path(sys.argv[1]), {"README.md": b"new", "onnx/model.onnx": b"new"}, replace=True)
"""


@pytest.mark.parametrize("existed", [False, True])
def test_a_killed_command_leaves_the_old_folder_or_the_new_one(
    tmp_path: Path, files: dict[str, bytes], existed: bool
) -> None:
    to = tmp_path / "hub"
    if existed:
        write_hub_folder(to, files)
    before = contents(to)
    for call in (1, 2, 3):  # the folder onnx, the staged folder, and what both are in
        ran = subprocess.run([sys.executable, "-c", _KILLED, str(to), str(call)], check=False)
        assert ran.returncode == -signal.SIGKILL
        assert contents(to) == before or (call == 3 and contents(to)["README.md"] == b"new")
        assert len(list(tmp_path.glob(".hub.*"))) == (call < 3 or existed)
        if call < 3:
            write_hub_folder(to, files)
            assert not list(tmp_path.glob(".hub.*"))
            before = contents(to)
            existed = True


def test_a_disk_that_fails_leaves_the_old_folder_alone(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "hub"
    write_hub_folder(to, files)
    before = contents(to)
    changed = {**files, "card.json": files["card.json"] + b" "}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("write_file", "sync", "exchange"):
        with monkeypatch.context() as patch:
            patch.setattr(f"model.runs.sealed_folder.{name}", fail)
            with pytest.raises(OutputError, match=r"No space left on device\); make room"):
                write_hub_folder(to, changed)
        assert contents(to) == before
        assert not list(tmp_path.glob(".hub.*"))
    write_hub_folder(to, changed)
    assert contents(to)["card.json"] == changed["card.json"]
