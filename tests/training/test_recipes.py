"""benchmarks/recipes.py: variants by name, comparisons with standard errors, and small runs that are kept."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.small import sample_shards

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = 'widths=[8]+blocks=[1]+stem=[5,4,4,true]+batch=64+encoding="gray"'


@pytest.fixture(autouse=True)
def _beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def recipes(*args: object, script: str = "recipes.py") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, BENCHMARKS / script, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_variant_joins_names_and_assignments() -> None:
    from recipes_table import setting_of

    setting = setting_of("lr8+silu+dropout=0.3+epochs=9+weight_decay=0.1", 6)
    assert setting.recipe == {"lr": 8e-3, "weight_decay": 0.1}
    assert setting.network == {"activation": "silu", "dropout": 0.3}
    assert setting.epochs == 9
    for wrong in ("nonsense", "silu+widht=3", "against=base"):
        with pytest.raises(ValueError, match="expected field=value"):
            setting_of(wrong, 6)


def test_a_difference_of_variants_has_the_error_of_paired_drawings_and_of_seeds() -> None:
    from recipes_scores import SCORES, Compared, as_hex

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50).astype(np.int32)
    base = rng.random((2, 200)) < 0.7
    better = base | (rng.random((2, 200)) < 0.2)
    runs = {
        name: [{"right": dict.fromkeys(SCORES, as_hex(right))} for right in several]
        for name, several in (("base", base), ("better", better))
    }
    compared = Compared(runs, labels)
    gain, error = compared.worth("better", "base", "last", balanced=False)
    difference = better.mean(axis=0) - base.mean(axis=0)
    assert gain == pytest.approx(difference.mean())
    seeds = np.mean([one.mean(axis=1).var(ddof=1) for one in (base, better)])
    assert error == pytest.approx(np.sqrt(difference.var() / 200 + seeds))  # two variants, two seeds each
    # Classes of equal size: the mean over classes is top-1, and less varies within classes than over all drawings.
    balanced, within = compared.worth("better", "base", "last", balanced=True)
    assert balanced == pytest.approx(gain)
    assert within <= error


@pytest.mark.long
def test_a_finished_run_is_kept_and_teaches_another(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shards, work = sample_shards(tmp_path_factory), tmp_path / "work"
    trained = recipes(shards, work, "--variants", TINY, "--epochs", 1)
    assert trained.returncode == 0, trained.stderr
    assert "images/s" in trained.stderr
    again = recipes(shards, work, "--variants", TINY, "--epochs", 1)
    assert "images/s" not in again.stderr
    assert again.stdout.splitlines()[-1] == trained.stdout.splitlines()[-1]

    labels = tmp_path / "soft.npz"
    taught = recipes(shards, work, labels, f"{TINY}:0", script="recipes_teacher.py")
    assert taught.returncode == 0, taught.stderr
    assert np.load(labels)["logits"].dtype == np.float16
    learned = recipes(shards, work, "--variants", f"{TINY}+taught", "--epochs", 1, "--teacher", labels)
    assert learned.returncode == 0, learned.stderr
    lines = [json.loads(line) for line in (work / "results.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == [TINY, f"{TINY}+taught"]
    assert all((work / line["weights"]).exists() for line in lines)
    assert recipes(shards, work, "--variants", f"{TINY}+live", "--epochs", 1).returncode == 2  # without --live
