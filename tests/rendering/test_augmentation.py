import dataclasses
import json
import math

import pytest

from pipeline.errors import UsageError
from pipeline.rendering.augment import Augmentation

EVERY_KIND = Augmentation(prefix=0.6, shortest=0.1, dropout=0.3, jitter=4, line_width=(0.5, 2))


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({"rotation": 181}, "rotation must be a number from 0 to 180, not 181"),
        ({"jitter": math.nan}, "jitter must be a number from 0 to 64, not nan"),
        ({"mirror": True}, "mirror must be a number"),
        ({"dropout": "0.1"}, "dropout must be a number"),
        ({"scale": 1}, "scale must be a smallest and a largest value, not 1"),
        ({"scale": (1.1, 0.75)}, r"scale must have its smallest value first, not 1.1\.\.0.75"),
        ({"line_width": (0, 1)}, "line_width must be a number from 0.1 to 10, not 0"),
    ],
)
def test_amounts_out_of_range_are_refused(amounts: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Augmentation(**amounts)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [Augmentation(), EVERY_KIND, Augmentation(jitter=1 / 3, scale=(0.1, 1.7))])
def test_an_augmentation_comes_back_from_its_text_and_from_json(how: Augmentation) -> None:
    assert Augmentation.parse(str(how)) == how
    assert str(Augmentation.parse(str(how))) == str(how)
    assert Augmentation(**json.loads(json.dumps(dataclasses.asdict(how)))) == how


def test_a_text_changes_the_amounts_that_it_names() -> None:
    assert Augmentation.parse("prefix=0.3, scale=0.5..2,line_width=2") == Augmentation(
        prefix=0.3, scale=(0.5, 2), line_width=(2, 2)
    )
    assert Augmentation.parse("off") is Augmentation.parse("None") is None
    assert str(Augmentation()).startswith("rotation=15,shear=0.2,scale=0.75..1.1,")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop=0.1", "no augmentation is called 'drop': did you mean 'dropout'"),
        ("", "augmentation must be name=value,name=value or off, not ''"),
        ("prefix", "must be name=value"),
        ("prefix=0.1,off", "must be name=value"),
        ("prefix=0.1,prefix=0.2", "names prefix twice"),
        ("prefix=often", "prefix must be a number like 0.5, not 'often'"),
        ("prefix=0.1..0.2", "prefix must be a number like 0.5"),
        ("scale=1..", "scale must be a number like 0.75..1.1, not '1..'"),
        ("prefix=2", "prefix must be a number from 0 to 1, not 2.0"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Augmentation.parse(text)
