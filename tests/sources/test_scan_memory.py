from concurrent.futures import ThreadPoolExecutor

import numba

from pipeline.sources.chunks import BLOCK_BYTES
from tests.sources import naive_ndjson as naive
from tests.sources.naive_ndjson import assert_as_naive, records, rejects, scan
from tests.sources.ndjson_lines import VALID, line

JIT = not numba.config.DISABLE_JIT  # without it fewer lines do: each takes a millisecond
SHORTEST = b'{"word":"x","drawing":[[[0],[0]]]}\n'


def test_the_scanner_s_own_memory_holds_as_many_of_the_shortest_lines_as_there_can_be() -> None:
    count = 3 * BLOCK_BYTES // len(SHORTEST) if JIT else 300
    scanned = scan(SHORTEST * count)
    assert len(scanned.drawings) == count
    assert scanned.drawings.x.tolist() == [0] * count
    values = b"1," * (BLOCK_BYTES // 2 - 100 if JIT else 300)
    assert_as_naive(b'{"word":"x","drawing":[[[' + values + b"\n" + SHORTEST)
    strokes = b"[[0],[0]]," * (30_000 if JIT else 300)
    assert_as_naive(b'{"word":"x","drawing":[' + strokes + b"[[0],[0]]]}\n" + SHORTEST)


def test_a_chunk_of_nothing_but_bad_lines_names_each() -> None:
    count = 5000 if JIT else 1100  # more than the scanner reports in one call
    scanned = scan(b"x\n" * count + line() + b"\n" + b"{}\n\n" * count)
    assert [reject.line for reject in rejects(scanned)] == [*range(1, count + 1), *range(count + 2, 3 * count + 2, 2)]
    assert len(scanned.drawings) == 1


def test_what_a_chunk_gave_stays_when_the_next_is_scanned() -> None:
    texts = [b"\n".join([*lines, b""]) for lines in ([*VALID.values()], [line(word='"other"'), *VALID.values()])]
    scanned = [scan(text) for text in texts]
    assert [records(one) for one in scanned] == [naive.parse_text(text)[0] for text in texts]


def test_threads_scan_side_by_side() -> None:
    texts = [line(word=f'"{k}"', drawing=f"[[[{k}],[{k}]]]") + b"\n" for k in range(8)]
    texts = [text * (20_000 if JIT else 20) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        for k, scanned in enumerate(threads.map(scan, texts)):
            assert scanned.drawings.words == [str(k)]
            assert set(scanned.drawings.x.tolist()) == {k}
