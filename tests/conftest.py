import os
from pathlib import Path

import pytest

# Small networks compile in less than the second from which on JAX keeps what it compiled; set before JAX is imported.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

QUICKDRAW = Path(__file__).parents[2] / "shared" / "quickdraw"


@pytest.fixture(scope="session")
def quickdraw() -> Path:
    """Excerpts of Google's data, which no repository holds."""
    if not (QUICKDRAW / "simplified").is_dir():
        pytest.skip(f"{QUICKDRAW} is not here: real drawings were not read")
    return QUICKDRAW
