from pathlib import Path

import pytest

QUICKDRAW = Path(__file__).parents[2] / "shared" / "quickdraw"


@pytest.fixture(scope="session")
def quickdraw() -> Path:
    """Excerpts of Google's data, which no repository holds."""
    if not (QUICKDRAW / "simplified").is_dir():
        pytest.skip(f"{QUICKDRAW} is not here: real drawings were not read")
    return QUICKDRAW
