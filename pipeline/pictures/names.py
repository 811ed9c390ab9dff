"""Makes names of files and folders from words of any kind.

A word may look like a path or contain a NUL. Its safe name is one component of a path on every file system: ASCII
letters, digits, space, `-`, `_` and `.` are kept, any other character is written as the `%XX` of its UTF-8 bytes (RFC
3986, section 2.1). So words that a file system may treat as equal, such as the two Unicode forms of an accented letter,
have different names. Capitals are the exception: `Cat` and `cat` are two names on Linux and one on macOS.
"""

import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import OutputError

MAX_NAME_BYTES = 200  # file systems allow 255; the rest is for a number and a suffix
_DIGEST_CHARACTERS = 32
_SHORTENED = "%~"  # not a valid escape, so that no unshortened name contains it
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._-]")


def safe_name(word: str) -> str:
    r"""The name of a file or folder for this word: 1 to `MAX_NAME_BYTES` ASCII characters, different for each word.

    Also escaped are a first character that would hide the file or make it look like an option, and a last character
    that some file systems drop. A name that would be longer is cut, and ends in `%~` and a hash of the word.

    >>> safe_name("hot dog"), safe_name("../x"), safe_name("-rf"), safe_name("caf\u00e9")
    ('hot dog', '%2E.%2Fx', '%2Drf', 'caf%C3%A9')
    """
    name = _UNSAFE.sub(lambda found: _escaped(found[0]), word)
    if not name:
        return "%"  # no other word has this name: elsewhere hex digits or "~" follow a "%"
    if name[0] in " .-":
        name = _escaped(name[0]) + name[1:]
    if name[-1] in " .":
        name = name[:-1] + _escaped(name[-1])
    if len(name) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_CHARACTERS // 2).hexdigest()
    return name[: MAX_NAME_BYTES - len(_SHORTENED) - len(digest)] + _SHORTENED + digest


def check_names(staged: Path, classes: Sequence[str]) -> None:
    """Make sure that no two classes share a folder if the file system of `staged` ignores case.

    Raises:
        OutputError: two classes share a folder.
    """
    probe = staged / "names"
    probe.mkdir()
    for word in classes:
        try:
            (probe / safe_name(word)).mkdir()
        except FileExistsError as error:
            twin = next(other for other in classes if safe_name(other).lower() == safe_name(word).lower())
            raise OutputError(
                f'classes "{twin}" and "{word}" differ only in case, and would share a folder on this disk; '
                "choose one with --classes"
            ) from error
    shutil.rmtree(probe)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
