"""TensorBoard's files on full and rotten disks, and what TensorBoard's own reader makes of them."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from model.training.tensorboard.events import _record, read_events, write_events

EVENTS = [Event(step=step, wall_time=100.0 + step, summary=scalar("loss", 1 / step)) for step in range(1, 9)]


def steps_shown(folder: Path) -> list[int]:
    return [event.step for event in EventAccumulator(str(folder)).Reload().Scalars("loss")]


def test_what_is_written_and_appended_is_read_again(tmp_path: Path) -> None:
    file = write_events(tmp_path, EVENTS[:2])
    file.append(EVENTS[2:5])
    file.append(EVENTS[5:])
    assert read_events(tmp_path, 100) == EVENTS
    assert read_events(tmp_path, 3) == EVENTS[:3]
    assert steps_shown(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_tensorboard_that_has_the_old_file_open_shows_the_new_one_alone(tmp_path: Path) -> None:
    write_events(tmp_path, EVENTS)
    reader = EventAccumulator(str(tmp_path)).Reload()
    for _ in range(3):  # as often as the run goes on
        file = write_events(tmp_path, EVENTS[:3])
        file.append([EVENTS[5]])
        assert [event.step for event in reader.Reload().Scalars("loss")] == [1, 2, 3, 6]
    assert steps_shown(tmp_path) == [1, 2, 3, 6]
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {
        "events.out.tfevents.000003": 0,
        "events.out.tfevents.000004": file.size,
    }


def test_of_two_files_that_a_crash_left_the_newer_counts(tmp_path: Path) -> None:
    old = write_events(tmp_path, EVENTS)
    content = old.path.read_bytes()
    write_events(tmp_path, EVENTS[:3])
    old.path.write_bytes(content)
    assert read_events(tmp_path, 100) == EVENTS[:3]
    assert steps_shown(tmp_path) == [1, 2, 3]


def test_a_full_disk_leaves_what_was_written_and_the_next_events_follow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_events(tmp_path, EVENTS[:2])
    real = os.write

    def write_half(descriptor: int, content: Any) -> int:
        if len(content) < 30:
            raise OSError(28, "No space left on device")
        return real(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_half)
        with pytest.raises(OSError, match="No space left"):
            file.append(EVENTS[2:3])
    assert file.path.stat().st_size > file.size
    assert read_events(tmp_path, 100) == EVENTS[:2]
    file.append(EVENTS[2:])
    assert read_events(tmp_path, 100) == EVENTS


def test_a_whole_record_of_something_else_ends_what_is_read(tmp_path: Path) -> None:
    file = write_events(tmp_path, EVENTS[:2])
    with file.path.open("ab") as end:
        end.write(_record(SimpleNamespace(SerializeToString=lambda: b"\xff\xff\xff")))
    assert read_events(tmp_path, 100) == EVENTS[:2]


@pytest.mark.parametrize("flipped", range(12, 380, 17))
def test_damage_costs_what_follows_it_and_no_more(tmp_path: Path, flipped: int) -> None:
    file = write_events(tmp_path, EVENTS)
    content = bytearray(file.path.read_bytes())
    content[flipped] ^= 1
    file.path.write_bytes(content)
    kept = read_events(tmp_path, 100)
    assert len(kept) < len(EVENTS)
    assert kept == EVENTS[: len(kept)]


def test_a_file_whose_beginning_is_gone_is_not_written_on(tmp_path: Path) -> None:
    file = write_events(tmp_path, EVENTS)
    file.path.write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="the file was truncated"):
        file.append(EVENTS)
