"""The index of pictures: classes that a spreadsheet would take for formulas come back as they were."""

import csv
from pathlib import Path

from tests.shards.builds import records, write
from tests.small import in_process

WORDS = [
    "=cmd|'/C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "car\rriage",
    "'quoted",
    "line\nbreak",
    'a "b", c',
    "cat",
]


def test_no_cell_of_the_index_is_a_formula_and_words_come_back(tmp_path: Path) -> None:
    write(tmp_path / "in", all=b"".join(records(word, range(40 * k, 40 * k + 40)) for k, word in enumerate(WORDS)))
    for words in (("shards", "in", "--to", "shards"), ("render", "pictures", "shards", "--to", "out", "--size", "8")):
        ran = in_process(*words, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    with (tmp_path / "out" / "index.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    cells = {cell for row in rows for cell in row.values()}
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")] == []
    assert {row["word"].removeprefix("'") for row in rows} == set(WORDS)
