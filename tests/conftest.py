import os
import sys
from pathlib import Path

import pytest

# Small networks compile in less than the second from which on JAX keeps what it compiled; set before JAX is imported.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# With fewer of LLVM's optimizations a small network compiles in two fifths of the time and trains as fast. XLA_FLAGS=""
# has all of them, as the workflow does on Python 3.12.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

# Files whose tests take half a minute and more, the longest first: no process shall be left with one at the end.
LONGEST = (
    "shards/test_memory.py", "training/test_kill_training.py", "cli/test_interrupts.py", "cli/test_cli_train.py",
    "training/test_sweep.py", "download/test_download.py", "runs/test_run_disk.py", "training/test_train.py",
    "training/test_summary_writer.py", "pictures/test_png_commits.py", "loading/test_loader.py",
    "shards/test_pipes.py", "export/test_page_in_browser.py", "export/test_page_files_and_game.py",
    "export/test_page.py", "export/test_proof.py", "export/test_export.py", "sources/test_binary.py",
    "scoring/test_predict.py", "test_docs.py", "cli/test_cli_looks.py", "cli/test_hostile_words.py",
    "rendering/test_raster.py", "report/test_report.py", "training/test_more_epochs.py", "shards/test_kill.py",
    "sources/test_streams.py", "test_jit.py", "download/test_not_drawings.py", "shards/test_resume.py",
    "shards/test_rot.py", "compute/test_devices.py",
)  # fmt: skip
QUICKDRAW = Path(__file__).parents[2] / "shared" / "quickdraw"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, they begin with the longest files."""
    if hasattr(config, "workerinput"):
        place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session", autouse=True)
def kept_compiled() -> None:
    """What XLA compiles is kept from the first test on, not only from the first command on."""
    if "jax" in sys.modules:
        from model.compute.compile_cache import keep_compiled

        keep_compiled()


@pytest.fixture(scope="session")
def quickdraw() -> Path:
    """Excerpts of Google's data, which no repository holds."""
    if not (QUICKDRAW / "simplified").is_dir():
        pytest.skip(f"{QUICKDRAW} is not here: real drawings were not read")
    return QUICKDRAW
