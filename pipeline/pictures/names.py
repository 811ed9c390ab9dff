"""Makes names of files and folders from words of any kind.

A word may be a path or hold a NUL. Its safe name is one component of a path on every file
system: ASCII letters, digits, space, `-`, `_` and `.` stand for themselves, any other character for the `%XX` of its
UTF-8 bytes (RFC 3986, section 2.1). So what a file system may fold into one (the two Unicode spellings of an accented
letter) stays apart, except capitals: `Cat` and `cat` are two names on Linux and one on macOS.
"""

import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import OutputError

MAX_NAME_BYTES = 200  # file systems take 255; the rest is for a number and a suffix
_DIGEST_CHARACTERS = 32
_SHORTENED = "%~"  # no escape, so that no whole name holds it
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._-]")


def safe_name(word: str) -> str:
    r"""The name, 1 to `MAX_NAME_BYTES` ASCII characters, of a file or folder for this word; no two words share one.

    A first character that would hide the file or make it an option, and a last one that some file systems drop, are
    escaped too. A longer name is cut, and ends in `%~` and a hash of the word.

    >>> safe_name("hot dog"), safe_name("../x"), safe_name("-rf"), safe_name("caf\u00e9")
    ('hot dog', '%2E.%2Fx', '%2Drf', 'caf%C3%A9')
    """
    name = _UNSAFE.sub(lambda found: _escaped(found[0]), word)
    if not name:
        return "%"  # escapes nothing
    if name[0] in " .-":
        name = _escaped(name[0]) + name[1:]
    if name[-1] in " .":
        name = name[:-1] + _escaped(name[-1])
    if len(name) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_CHARACTERS // 2).hexdigest()
    return name[: MAX_NAME_BYTES - len(_SHORTENED) - len(digest)] + _SHORTENED + digest


def check_names(staged: Path, classes: Sequence[str]) -> None:
    """Make sure that no two classes share a folder where the disk of `staged` knows no capitals.

    Raises:
        OutputError: two do.
    """
    probe = staged / "names"
    probe.mkdir()
    for word in classes:
        try:
            (probe / safe_name(word)).mkdir()
        except FileExistsError as error:
            twin = next(other for other in classes if safe_name(other).lower() == safe_name(word).lower())
            raise OutputError(
                f'classes "{twin}" and "{word}" differ in capitals only, and share a folder on this disk; '
                "choose one with --classes"
            ) from error
    shutil.rmtree(probe)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
