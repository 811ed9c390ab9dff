"""The sample's figures with a face: bear and cat, which differ in ears, nose and whiskers."""

from pipeline.sample.pen import Dice, Figure, Stroke, arc, curve, direction, dot, line, ring, zigzag


def bear(dice: Dice) -> Figure:
    """A broad head with round ears and a muzzle, sometimes with a body below."""
    width, height = dice.between(0.75, 1.0), dice.between(0.7, 0.95)
    strokes = [ring(dice, 0, 0, width, height)]
    spot, size = dice.around(0.125, 0.018), dice.between(0.2, 0.38)
    for side in (-1, 1):
        across, down = direction(0.75 + side * spot)
        if dice.chance(0.06):
            strokes.append(pointed_ear(dice, width * across, height * down, size, side))
            continue
        start = 0.75 + side * spot - 0.36
        x, y = (width + size * 0.3) * across, (height + size * 0.3) * down
        strokes.append(arc(x, y, size, size * dice.around(1, 0.1), start, dice.around(0.72, 0.06)))
        if dice.chance(0.15):
            strokes.append(ring(dice, x, y, size / 2, size / 2))
    strokes += eyes(dice, width, height)
    low = dice.around(0.35, 0.06) * height
    if dice.chance(0.55):
        strokes.append(ring(dice, 0, low, dice.between(0.25, 0.45), dice.between(0.2, 0.35)))
    if dice.chance(0.9):
        strokes.append(dice.pick((ring(dice, 0, low - 0.1, 0.13, 0.09), zigzag(dice, 0, low - 0.1, 0.12, 0.07, 6))))
    strokes += mouth(dice, low + 0.05)
    if dice.chance(0.2):
        strokes.append(ring(dice, 0, height * 2, width * dice.between(0.8, 1.2), height * 1.1))
    return strokes


def cat(dice: Dice) -> Figure:
    """A head with pointed ears and whiskers, sometimes with a body and a tail."""
    width, height = dice.between(0.7, 1.0), dice.between(0.65, 0.95)
    strokes = [ring(dice, 0, 0, width, height)]
    spot, size = dice.around(0.115, 0.018), dice.between(0.3, 0.6)
    for side in (-1, 1):
        across, down = direction(0.75 + side * spot)
        if dice.chance(0.06):
            strokes.append(arc(width * across, height * down, size / 2, size / 2, 0.75 + side * spot - 0.36, 0.72))
        else:
            strokes.append(pointed_ear(dice, width * across, height * down, size, side))
    strokes += eyes(dice, width, height)
    low = dice.around(0.2, 0.06) * height
    if dice.chance(0.75):
        nose = line((-0.1, low - 0.08), (0.1, low - 0.08), (0, low + 0.06), (-0.1, low - 0.08))
        strokes.append(dice.pick((nose, nose, ring(dice, 0, low, 0.08, 0.06))))
    strokes += mouth(dice, low + 0.08)
    if dice.chance(0.72):
        number, length, inner = dice.count(2, 3), dice.between(0.5, 1.0), dice.between(0.2, 0.6)
        for side in (-1, 1):
            for whisker in range(number):
                fan = (whisker - (number - 1) / 2) * dice.between(0.1, 0.3)
                start = (side * inner, low + fan * 0.4 + 0.05)
                strokes.append(line(start, (side * (inner + length), start[1] + fan + dice.around(0, 0.04))))
    if dice.chance(0.2):
        strokes.append(ring(dice, 0.2, height + 0.8, 0.8, 0.85))
        strokes.append(curve((0.9, height + 1.2), (1.5, height + 0.8), (1.3, height + 0.2), (1.6, height)))
    return strokes


def pointed_ear(dice: Dice, x: float, y: float, size: float, side: int) -> Stroke:
    """An ear of two straight lines on a head at (x, y); `side` is -1 for the left ear and 1 for the right."""
    tip = (x + side * size * dice.around(0.25, 0.12), y - size * dice.around(1, 0.1))
    return line((x - side * size * 0.55, y - size * 0.1), tip, (x + side * size * 0.35, y + size * 0.45))


def eyes(dice: Dice, width: float, height: float) -> Figure:
    """Two eyes in a head with these half axes: dots, circles, circles with pupils, or short lines."""
    apart, high, size = dice.around(0.38, 0.05) * width, dice.around(-0.22, 0.06) * height, dice.between(0.06, 0.15)
    style = dice.roll()
    strokes: Figure = []
    for x in (-apart, apart):
        if style < 0.25:
            strokes.append(dot(x, high))
        elif style < 0.9:
            strokes.append(ring(dice, x, high, size, size * dice.around(1, 0.1)))
        else:
            strokes.append(line((x, high - size), (x, high + size)))
        if 0.75 < style < 0.9:
            strokes.append(dot(x, high))
    return strokes


def mouth(dice: Dice, low: float) -> Figure:
    """A smile, the two arcs of an animal's mouth, or a line; sometimes no mouth."""
    wide, style = dice.between(0.12, 0.3), dice.roll()
    if style < 0.35:
        return [arc(0, low, wide, wide * 0.6, 0.03, 0.44)]
    if style < 0.65:
        return [
            curve((-wide, low + 0.08), (-wide / 2, low + 0.18), (0, low), (wide / 2, low + 0.18), (wide, low + 0.08))
        ]
    return [line((-wide, low + 0.15), (wide, low + 0.15))] if style < 0.8 else []
