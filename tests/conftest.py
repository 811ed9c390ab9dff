import os
import sys
from pathlib import Path

import pytest

# Small networks compile in less than the second from which on JAX keeps what it compiled; set before JAX is imported.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# With fewer of LLVM's optimizations a small network compiles in two fifths of the time and trains as fast. XLA_FLAGS=""
# has all of them, as .ci/run does on Python 3.12.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

QUICKDRAW = Path(__file__).parents[2] / "shared" / "quickdraw"


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
