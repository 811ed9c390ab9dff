"""Names of files and folders for words of any kind, and the way back.

A word may be a path, hold a NUL or be a device of Windows. Its safe name is one component of a path on every file
system: ASCII letters, digits, space, `-`, `_` and `.` stand for themselves, any other character for the `%XX` of its
UTF-8 bytes (RFC 3986, section 2.1). So what a file system may fold into one (the two Unicode spellings of an accented
letter) stays apart, except capitals: `Cat` and `cat` are two names on Linux and one on macOS.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

from pipeline.errors import InputError, OutputError

MAX_NAME_BYTES = 200  # file systems take 255; the rest is for a number and a suffix
_DIGEST_CHARACTERS = 32
_SHORTENED = "%~"  # no escape, so that no whole name holds it
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._-]")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])( *\.| *$)", re.IGNORECASE)


def safe_name(word: str) -> str:
    r"""The name, 1 to `MAX_NAME_BYTES` ASCII characters, of a file or folder for this word; no two words share one.

    A first character that would hide the file, make it an option or a device, and a last one that Windows drops, are
    escaped too. A longer name is cut, and ends in `%~` and a hash of the word.

    >>> safe_name("hot dog"), safe_name("../x"), safe_name("CON"), safe_name("-rf"), safe_name("caf\u00e9")
    ('hot dog', '%2E.%2Fx', '%43ON', '%2Drf', 'caf%C3%A9')
    """
    name = _UNSAFE.sub(lambda found: _escaped(found[0]), word)
    if not name:
        return "%"  # escapes nothing
    if name[0] in " .-" or _DEVICE.match(name):
        name = _escaped(name[0]) + name[1:]
    if name[-1] in " .":
        name = name[:-1] + _escaped(name[-1])
    if len(name) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_CHARACTERS // 2).hexdigest()
    return name[: MAX_NAME_BYTES - len(_SHORTENED) - len(digest)] + _SHORTENED + digest


def word_of_safe_name(name: str, words: Iterable[str] = ()) -> str:
    """The word that `safe_name` made `name` of.

    Args:
        name: what `safe_name` gave.
        words: where a name was too long and was cut, the words that it may be of.

    Raises:
        InputError: `safe_name` gives no such name, or the name was cut and is of none of `words`.

    >>> word_of_safe_name("%2E.%2Fx")
    '../x'
    """
    if _SHORTENED in name:
        for word in words:
            if safe_name(word) == name:
                return word
        raise InputError(f"{name}: a name that was cut, of a word that is not known here; look it up in the index")
    try:
        word = unquote_to_bytes("" if name == "%" else name).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        word = ""
    if safe_name(word) != name:
        raise InputError(f"{name}: is not the name of a word; such names are letters, digits and %XX for all else")
    return word


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
