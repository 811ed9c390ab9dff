"""Reads and writes TensorBoard's event files, which stay complete if the process is killed.

tensorboardX's own writer passes events to a thread through a bounded queue. If a full disk ends that thread, no error
is reported, and training waits for the full queue for ever. So only tensorboardX's protocol buffers are used, and each
call writes the file itself, framed as TFRecord (https://www.tensorflow.org/tutorials/load_data/tfrecord): length, CRC
of the length, content, CRC of the content.

A folder has one such file. A process that resumes a training first rewrites it under the next name, without the events
of the steps that it will repeat, and empties the old file, so that a TensorBoard that has the old file open notices.
"""

import contextlib
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
from google.protobuf.message import DecodeError
from tensorboardX.proto.event_pb2 import Event, SessionLog

from pipeline.storage.files import Output, sync, write_file
from pipeline.storage.reading import read_limited

_NAME = re.compile(r"events\.out\.tfevents\.(\d{6})")  # TensorBoard looks for "tfevents"
_LIMIT = 1 << 30  # bytes of an event file; that of ten epochs with pictures has 5,000,000
_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")


@dataclass
class EventFile:
    """The event file of one folder, which TensorBoard shows as a run.

    Attributes:
        path: the path of the file.
        size: the number of bytes up to the end of the last complete record.
    """

    path: Path
    size: int

    def append(self, events: Iterable[Any]) -> None:
        """Append events; they have been passed to the operating system when this returns.

        Raises:
            OSError: they cannot be written. If a part of them was, the next call removes that part.
        """
        content = b"".join(map(_record, events))
        if self.path.stat().st_size < self.size:
            raise FileNotFoundError(None, "the file was truncated", str(self.path))
        with Output(self.path, keep=self.size) as file:
            file.write(content)
        self.size += len(content)


def read_events(folder: Path, until: int) -> list[Any]:
    """The summaries in a folder's event file up to a step, or up to the first damaged or incomplete record.

    Raises:
        OSError: the file exists but cannot be read.
    """
    files = _files(folder)
    if not files:
        return []
    events = []
    with contextlib.suppress(DecodeError):  # a complete record that is not an event
        for content in _contents(read_limited(files[-1], _LIMIT, link=False)):
            events.append(Event.FromString(content))  # noqa: PERF401 - events before the error are kept
    return [event for event in events if event.HasField("summary") and event.step <= until]


def write_events(folder: Path, events: Sequence[Any]) -> EventFile:
    """Replace a folder's event file by one with only these events.

    Raises:
        OSError: it cannot be written; the old file is unchanged.
    """
    if folder.is_symlink():
        raise FileExistsError(None, "is a link where a folder belongs", str(folder))
    folder.mkdir(exist_ok=True)  # without its parents: the run's folder may have been removed
    old = _files(folder)
    number = int(old[-1].name[-6:]) + 1 if old else 1
    # A TensorBoard that has read the old file discards its events when it reads this start of a session.
    start = Event(session_log=SessionLog(status=SessionLog.START))
    content = b"".join(map(_record, [Event(file_version="brain.Event:2"), start, *events]))
    path, partial = folder / f"events.out.tfevents.{number:06d}", folder / ".partial"
    try:  # as write_atomically does, but with a temporary name that TensorBoard does not look for
        write_file(partial, content)
        partial.replace(path)
        sync(folder)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    for one in old[:-1]:
        one.unlink()
    for one in old[-1:]:  # emptied, not removed: a TensorBoard that has it open would wait for it and read no other
        Output(one).close()
    return EventFile(path, len(content))


def _files(folder: Path) -> list[Path]:
    """The event files in a folder, the newest last; there are several if a process was killed while it rewrote one."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if _NAME.fullmatch(entry.name) and not entry.is_symlink())


def _record(event: Any) -> bytes:
    content = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    return length + _CRC.pack(_masked_crc(length)) + content + _CRC.pack(_masked_crc(content))


def _contents(records: bytes) -> Iterator[bytes]:
    """The contents of the records, up to the first damaged or incomplete one."""
    at = 0
    while at + _HEAD.size <= len(records):
        length, crc = _HEAD.unpack_from(records, at)
        start, end = at + _HEAD.size, at + _HEAD.size + length
        if crc != _masked_crc(records[at : at + 8]) or end + _CRC.size > len(records):
            return
        content = records[start:end]
        if _CRC.unpack_from(records, end) != (_masked_crc(content),):
            return
        yield content
        at = end + _CRC.size


def _masked_crc(content: bytes) -> int:
    crc = int(google_crc32c.value(content))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
