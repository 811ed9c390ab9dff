"""Google's 345 words, the word that a file's name declares, and words that resemble a text."""

import difflib
import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from urllib.parse import unquote

# From the list of the data set (googlecreativelab/quickdraw-dataset, categories.txt), in UTF-8 order.
WORDS: tuple[str, ...] = tuple(
    """
The Eiffel Tower, The Great Wall of China, The Mona Lisa, aircraft carrier, airplane, alarm clock, ambulance,
angel, animal migration, ant, anvil, apple, arm, asparagus, axe, backpack, banana, bandage, barn, baseball,
baseball bat, basket, basketball, bat, bathtub, beach, bear, beard, bed, bee, belt, bench, bicycle, binoculars,
bird, birthday cake, blackberry, blueberry, book, boomerang, bottlecap, bowtie, bracelet, brain, bread, bridge,
broccoli, broom, bucket, bulldozer, bus, bush, butterfly, cactus, cake, calculator, calendar, camel, camera,
camouflage, campfire, candle, cannon, canoe, car, carrot, castle, cat, ceiling fan, cell phone, cello, chair,
chandelier, church, circle, clarinet, clock, cloud, coffee cup, compass, computer, cookie, cooler, couch, cow,
crab, crayon, crocodile, crown, cruise ship, cup, diamond, dishwasher, diving board, dog, dolphin, donut, door,
dragon, dresser, drill, drums, duck, dumbbell, ear, elbow, elephant, envelope, eraser, eye, eyeglasses, face,
fan, feather, fence, finger, fire hydrant, fireplace, firetruck, fish, flamingo, flashlight, flip flops,
floor lamp, flower, flying saucer, foot, fork, frog, frying pan, garden, garden hose, giraffe, goatee,
golf club, grapes, grass, guitar, hamburger, hammer, hand, harp, hat, headphones, hedgehog, helicopter, helmet,
hexagon, hockey puck, hockey stick, horse, hospital, hot air balloon, hot dog, hot tub, hourglass, house,
house plant, hurricane, ice cream, jacket, jail, kangaroo, key, keyboard, knee, knife, ladder, lantern, laptop,
leaf, leg, light bulb, lighter, lighthouse, lightning, line, lion, lipstick, lobster, lollipop, mailbox, map,
marker, matches, megaphone, mermaid, microphone, microwave, monkey, moon, mosquito, motorbike, mountain, mouse,
moustache, mouth, mug, mushroom, nail, necklace, nose, ocean, octagon, octopus, onion, oven, owl, paint can,
paintbrush, palm tree, panda, pants, paper clip, parachute, parrot, passport, peanut, pear, peas, pencil,
penguin, piano, pickup truck, picture frame, pig, pillow, pineapple, pizza, pliers, police car, pond, pool,
popsicle, postcard, potato, power outlet, purse, rabbit, raccoon, radio, rain, rainbow, rake, remote control,
rhinoceros, rifle, river, roller coaster, rollerskates, sailboat, sandwich, saw, saxophone, school bus,
scissors, scorpion, screwdriver, sea turtle, see saw, shark, sheep, shoe, shorts, shovel, sink, skateboard,
skull, skyscraper, sleeping bag, smiley face, snail, snake, snorkel, snowflake, snowman, soccer ball, sock,
speedboat, spider, spoon, spreadsheet, square, squiggle, squirrel, stairs, star, steak, stereo, stethoscope,
stitches, stop sign, stove, strawberry, streetlight, string bean, submarine, suitcase, sun, swan, sweater,
swing set, sword, syringe, t-shirt, table, teapot, teddy-bear, telephone, television, tennis racquet, tent,
tiger, toaster, toe, toilet, tooth, toothbrush, toothpaste, tornado, tractor, traffic light, train, tree,
triangle, trombone, truck, trumpet, umbrella, underwear, van, vase, violin, washing machine, watermelon,
waterslide, whale, wheel, windmill, wine bottle, wine glass, wristwatch, yoga, zebra, zigzag
""".replace("\n", " ")
    .strip()
    .split(", ")
)
_FORMS = ("simplified", "raw", "binary", "numpy_bitmap")
_PREFIXES = (*(f"full_{form}_" for form in _FORMS), *(f"full/{form}/" for form in _FORMS))
_COMPRESSED = (".gz", ".zst")
_KINDS = (".ndjson", ".jsonl", ".json", ".csv", ".npz", ".bin", ".npy")
# What browsers and file managers append to the name of a copy: "dog (1)", "dog(1)", "dog - Copy (2)", "dog (copy)".
_COPY = re.compile(r"(?<=\S)( - copy)?( ?\((\d+|copy( \d+)?|another copy)\))?$", re.IGNORECASE)
_MAC_COPY = re.compile(r"(?<=\S) copy( \d+)?$", re.IGNORECASE)  # may be part of a word, such as "hard copy"


def declared_word(name: str, known: Iterable[str] = WORDS) -> str | None:
    """The word of `known` that a file's name declares, however such files are usually named; None if there is none.

    >>> declared_word("full_simplified_The%20Eiffel%20Tower.ndjson.gz")
    'The Eiffel Tower'
    >>> declared_word("hot_dog copy 2.NDJSON")
    'hot dog'
    """
    words, stem = _by_plain(tuple(known)), plain_stem(name)
    return words.get(_plain(stem)) or words.get(_plain(_MAC_COPY.sub("", stem)))


def plain_stem(name: str) -> str:
    """A file's name without its folders, its ending, the prefixes of Google's files, and the mark of a copy.

    >>> plain_stem("full_binary_hot%20dog (1).bin"), plain_stem("full%2Fbinary%2Fdog - Copy.bin")
    ('hot dog', 'dog')
    """
    stem, _ = stem_and_ending(name)
    for prefix in _PREFIXES:
        stem = stem.removeprefix(prefix)
    return stem


def stem_and_ending(name: str) -> tuple[str, str]:
    """A file's name without its folders, in two parts: the stem without the mark of a copy, and the ending.

    The ending is in lower case; it is empty if it is none that sketchpipe knows.

    >>> stem_and_ending("in/hot%20dog (1).Bin.GZ")
    ('hot dog', '.bin.gz')
    """
    stem, ending = unquote(PurePath(name).name), ""
    for endings in (_COMPRESSED, _KINDS):
        for one in endings:
            if stem.lower().endswith(one):
                stem, ending = _COPY.sub("", stem[: -len(one)], count=1), one + ending
                break
    return stem, ending


@functools.cache
def _by_plain(known: tuple[str, ...]) -> dict[str, str]:
    return {_plain(word): word for word in reversed(known)}  # of words with the same plain form the first one wins


def resembling(text: str, known: Iterable[str] = WORDS, count: int = 5) -> list[str]:
    """The words of `known` that contain `text` or are spelled almost like it, the best match first."""
    words = list(known)
    plain = {_plain(word): word for word in words}
    whole = sorted((word for word in words if f" {_plain(text)} " in f" {_plain(word)} "), key=len)
    inside = [word for word in words if _plain(text) in _plain(word)]
    close = [plain[match] for match in difflib.get_close_matches(_plain(text), plain, n=count, cutoff=0.6)]
    return list(dict.fromkeys(whole + close + inside))[:count]


def missing_class(word: str, seen: Iterable[str]) -> str:
    """What to say of a class that no drawing is of, with words like it, those of `seen` first."""
    near = [other for other in resembling(word, dict.fromkeys((*seen, *resembling(word)))) if other != word]
    hint = f"; did you mean {' or '.join(repr(other) for other in near[:3])}?" if near else ""
    return f'class "{word}": no drawing of it in the sources{hint}'


def lookalikes(words: Sequence[str]) -> list[list[str]]:
    """Those of `words` that differ only in case, spaces or underscores, in groups of two or more.

    >>> lookalikes(["Cat", "cat", "dog", "hot dog", "hot_dog"])
    [['Cat', 'cat'], ['hot dog', 'hot_dog']]
    """
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(_plain(word), []).append(word)
    return [group for group in groups.values() if len(group) > 1]


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())
