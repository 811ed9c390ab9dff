"""TensorBoard's event files, whole after every append, whatever becomes of the process.

tensorboardX's own writer hands events to a thread: what a full disk does to that thread nobody hears, and the trainer
then waits for ever at its full queue. So only its protocol buffers are used; a file is written where it is called, in
the framing of TFRecord (https://www.tensorflow.org/tutorials/load_data/tfrecord): length, its CRC, content, its CRC.

A folder has one such file. Before more is appended, a process that goes on writes it anew without what it will do
again, under the next name, and empties the old one, so that a TensorBoard which has that open notices.
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

_NAME = re.compile(r"events\.out\.tfevents\.(\d{6})")  # TensorBoard looks for "tfevents"
_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")


@dataclass
class EventFile:
    """The file of one of TensorBoard's runs.

    Attributes:
        path: where it is.
        size: its bytes, as far as they are whole.
    """

    path: Path
    size: int

    def append(self, events: Iterable[Any]) -> None:
        """Append events; they are with the system when this returns.

        Raises:
            OSError: they cannot be written; what a full disk took of them goes when the next are appended.
        """
        content = b"".join(map(_record, events))
        if self.path.stat().st_size < self.size:
            raise FileNotFoundError(None, "its beginning is gone", str(self.path))
        with Output(self.path, keep=self.size) as file:
            file.write(content)
        self.size += len(content)


def read_events(folder: Path, until: int) -> list[Any]:
    """The summaries in a folder's event file up to a step, and up to damage such as a kill leaves at its end.

    Raises:
        OSError: it is there and cannot be read.
    """
    files = _files(folder)
    if not files:
        return []
    events = []
    with contextlib.suppress(DecodeError):  # whole, and none of ours
        for content in _contents(files[-1].read_bytes()):
            events.append(Event.FromString(content))  # noqa: PERF401 - those before it are kept
    return [event for event in events if event.HasField("summary") and event.step <= until]


def write_events(folder: Path, events: Sequence[Any]) -> EventFile:
    """Write a folder's event file anew, with these events alone.

    Raises:
        OSError: it cannot be written; the old one stands.
    """
    folder.mkdir(parents=True, exist_ok=True)
    old = _files(folder)
    number = int(old[-1].name[-6:]) + 1 if old else 1
    # A TensorBoard that has read the old file drops all of it at this start of a session.
    start = Event(session_log=SessionLog(status=SessionLog.START))
    content = b"".join(map(_record, [Event(file_version="brain.Event:2"), start, *events]))
    path, partial = folder / f"events.out.tfevents.{number:06d}", folder / ".partial"
    try:  # as write_atomically, but by a name that TensorBoard does not look for
        write_file(partial, content)
        partial.replace(path)
        sync(folder)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    for one in old[:-1]:
        one.unlink()
    for one in old[-1:]:  # not removed: a TensorBoard that has it open would look for it and read nothing else
        Output(one).close()
    return EventFile(path, len(content))


def _files(folder: Path) -> list[Path]:
    """The event files in a folder, the newest last; a crash may have left the one before it."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if _NAME.fullmatch(entry.name) and entry.is_file())


def _record(event: Any) -> bytes:
    content = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    return length + _CRC.pack(_masked_crc(length)) + content + _CRC.pack(_masked_crc(content))


def _contents(records: bytes) -> Iterator[bytes]:
    """The contents of records, up to the first that is not whole."""
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
