"""The figures of the sample's ten classes, each a list of strokes with the most important ones first.

A figure chooses its proportions, style and parts at random; `pipeline.sample.doodles` then distorts it as an unsteady
hand would. Several pairs are meant to be hard to distinguish when drawn badly: cat and bear, sun and flower, flower and
tree, bicycle and eyeglasses, apple and fish.
"""

from collections.abc import Callable

from pipeline.sample.faces import bear, cat, eyes
from pipeline.sample.pen import Dice, Figure, arc, cloud, curve, direction, dot, line, ring


def apple(dice: Dice) -> Figure:
    """A round outline, usually with a dip at the top, a stem and perhaps a leaf."""
    width, height, dip = dice.between(0.7, 1.05), dice.between(0.75, 1.0), dice.around(0.22, 0.07)
    if dice.chance(0.3):
        strokes = [ring(dice, 0, 0, width, height)]
        dip = 0
    else:
        foot = dice.around(0.08, 0.06)
        top, base = (0.0, dip - height), (0.0, height - foot)
        right = [(0.45 * width, -height), (width, -0.4 * height), (0.85 * width, 0.4 * height), (0.35 * width, height)]
        left = [(-x, y + dice.around(0, 0.05)) for x, y in reversed(right)]
        strokes = [curve(top, *right, base, *left, top)]
    lean, length = dice.around(0.05, 0.15), dice.between(0.2, 0.5)
    tip = (lean, dip - height - length)
    strokes.append(curve((0, dip - height + dice.around(0, 0.05)), (lean * 0.3, dip - height - length / 2), tip))
    if dice.chance(0.15):
        strokes[-1] = line((-0.08, dip - height), (lean - 0.1, tip[1]), (lean + 0.1, tip[1]), (0.08, dip - height))
    if dice.chance(0.55):
        side, size = dice.pick((-1, 1)), dice.between(0.25, 0.5)
        root = (lean * 0.5, dip - height - length * 0.5)
        end = (root[0] + side * size, root[1] - size * dice.between(0.1, 0.7))
        middle = ((root[0] + end[0]) / 2, (root[1] + end[1]) / 2)
        strokes.append(curve(root, (middle[0], middle[1] - size / 3), end, (middle[0], middle[1] + size / 4), root))
    if dice.chance(0.12):
        strokes.append(arc(0, 0, width * 0.7, height * 0.7, dice.around(0.6, 0.1), 0.12))
    return strokes


def bicycle(dice: Dice) -> Figure:
    """Two wheels with a frame, handlebars and a saddle between them, from a detailed one down to three lines."""
    radius, apart = dice.between(0.3, 0.48), dice.between(0.58, 0.75)
    wheels = [ring(dice, side * apart, 0, radius, radius * dice.around(1, 0.08)) for side in (-1, 1)]
    rise = dice.between(0.5, 0.9)
    saddle, head = (-apart * 0.45, -rise), (apart * dice.between(0.5, 0.8), -rise - dice.around(0.1, 0.06))
    pedal = (dice.around(-0.05, 0.06), dice.around(0, 0.08))
    rear, front = (-apart, 0.0), (apart, 0.0)
    style = dice.roll()
    if style < 0.45:
        frame = [line(rear, saddle, pedal, rear), line(saddle, head, pedal), line(head, front)]
    elif style < 0.75:
        frame = [line(rear, (saddle[0] + 0.2, saddle[1] * 0.6), (head[0], head[1] * 0.6), front), line(pedal, saddle)]
    else:
        frame = [line((-apart + radius * 0.6, pedal[1]), (apart - radius * 0.6, 0)), line(front, head)]
    bar = dice.between(0.15, 0.35)
    grip = line((head[0] - bar, head[1] - 0.1), head, (head[0] + bar * dice.roll(), head[1] - bar * dice.roll()))
    seat = line((saddle[0] - 0.18, saddle[1]), (saddle[0] + 0.18, saddle[1] + dice.around(0, 0.04)))
    strokes = [*wheels, *frame, *(part for part in (grip, seat) if dice.chance(0.85))]
    if dice.chance(0.3):
        spokes, turn = dice.count(2, 4), dice.roll()
        for x in (-apart, apart):
            for spoke in range(spokes):
                across, down = direction(turn + spoke / spokes / 2)
                strokes.append(line((x - radius * across, -radius * down), (x + radius * across, radius * down)))
    elif dice.chance(0.25):
        strokes += [ring(dice, x, 0, 0.08, 0.08) for x in (-apart, apart)]
    if dice.chance(0.3):
        strokes.append(ring(dice, *pedal, 0.12, 0.12))
    return strokes


def eyeglasses(dice: Dice) -> Figure:
    """Two lenses, a bridge, and usually temples that go up or down at the sides."""
    width, apart = dice.between(0.33, 0.5), dice.between(0.56, 0.75)
    height = width * dice.between(0.65, 1.05)
    strokes = []
    square = dice.chance(0.25)
    for side in (-1, 1):
        x = side * apart
        corners = [(x - width, -height), (x + width, -height), (x + width * 0.9, height), (x - width * 0.9, height)]
        strokes.append(line(*corners, corners[0]) if square else ring(dice, x, 0, width, height))
    inner, arch = apart - width, dice.between(0, 0.25)
    strokes.append(curve((-inner, -0.05), (0, -0.05 - arch), (inner, -0.05)))
    length, rise = dice.between(0.2, 0.7), dice.around(0.45, 0.3)
    if dice.chance(0.88):
        bend = dice.chance(0.35)
        for side in (-1, 1):
            root = (side * (apart + width), -0.05)
            tip = (root[0] + side * length * dice.around(0.7, 0.2), -rise + dice.around(0, 0.08))
            if bend:
                strokes.append(line(root, tip, (tip[0] + side * 0.12, tip[1] + dice.between(0.15, 0.4))))
            else:
                strokes.append(line(root, tip))
    if dice.chance(0.12):
        strokes += [arc(side * apart, 0, width * 0.6, height * 0.6, 0.55, 0.15) for side in (-1, 1)]
    return strokes


def fish(dice: Dice) -> Figure:
    """A body and a tail, often in one line, with an eye and perhaps fins, a gill and a mouth."""
    side, height, waist = dice.pick((-1, 1)), dice.between(0.32, 0.75), dice.around(0.75, 0.08)
    span = height * dice.between(0.6, 1.05)
    if dice.chance(0.55):
        tail = [(1.25, -span), (1.2, span)]
        path = [tail[0], (waist, 0.0), (0, height), (-0.8, height * 0.55), (-1.1, 0), (-0.75, -height * 0.6)]
        path += [(0, -height), (waist, -0.02), tail[1]]
        strokes = [curve(*path), line(tail[1], (1.15, 0), tail[0]) if dice.chance(0.3) else line(tail[1], tail[0])]
    else:
        strokes = [ring(dice, -0.15, 0, 0.9, height)]
        notch = dice.between(0.95, 1.3)
        strokes.append(line((waist - 0.05, 0), (1.3, -span), (notch, 0), (1.3, span), (waist - 0.05, 0)))
    if dice.chance(0.8):
        spot = (-0.68, -height * dice.between(0.1, 0.35))
        strokes.append(dot(*spot) if dice.chance(0.45) else ring(dice, *spot, 0.07, 0.07))
    if dice.chance(0.3):
        strokes.append(arc(-0.6, 0, 0.22, height * 0.6, -0.2, 0.4))
    if dice.chance(0.35):
        strokes.append(line((-0.98, height * 0.25), (-0.75, height * dice.between(0.15, 0.4))))
    if dice.chance(0.35):
        strokes.append(curve((-0.3, -height * 0.95), (0.1, -height * 1.5), (0.4, -height * 0.75)))
    if dice.chance(0.25):
        strokes.append(line((-0.1, height * 0.1), (0.25, height * 0.45), (0.25, 0), (-0.1, height * 0.1)))
    if dice.chance(0.12):
        strokes += [arc(x / 4, 0, 0.1, height * 0.3, -0.2, 0.4) for x in range(3)]
    return [stroke * [[side], [1.0]] for stroke in strokes]


def flower(dice: Dice) -> Figure:
    """Petals around a centre, usually on a stem with a leaf or two; sometimes a tulip."""
    high = dice.around(-0.55, 0.1)
    radius, core = dice.between(0.4, 0.65), dice.between(0.12, 0.26)
    petals, style = dice.count(4, 8), dice.roll()
    if style < 0.12:
        cup = [(-radius, high - 0.5), (-radius * 0.9, high + 0.1), (0, high + 0.4), (radius * 0.9, high + 0.1)]
        rim = [(radius, high - 0.5), (radius * 0.4, high - 0.2), (0, high - 0.6), (-radius * 0.4, high - 0.2)]
        strokes = [curve(*cup, rim[0]), line(*rim, cup[0])]
    elif style < 0.45:
        strokes = [ring(dice, 0, high, core, core), cloud(dice, 0, high, radius * 1.1, radius * 1.1, petals)]
    elif style < 0.85:
        strokes = [ring(dice, 0, high, core, core)]
        turn, thick = dice.roll(), dice.between(0.16, 0.26) * 5 / petals
        for petal in range(petals):
            across, down = direction(turn + petal / petals)
            near, far, wide = core * 0.9, radius * dice.around(1.15, 0.1), thick * radius * 3
            ends = [
                (across * r - down * w, high + down * r + across * w) for r, w in ((far * 0.75, wide / 2), (far, 0))
            ]
            back = (across * far * 0.75 + down * wide / 2, high + down * far * 0.75 - across * wide / 2)
            root = (across * near, high + down * near)
            strokes.append(curve(root, *ends, back, root))
    else:
        strokes = [ring(dice, 0, high, core * 1.4, core * 1.4), *rays(dice, high, core * 1.4, radius * 0.6, petals + 3)]
    if dice.chance(0.9):
        foot = dice.between(0.6, 1.2)
        strokes.insert(2, curve((0, high + radius), (dice.around(0, 0.1), foot / 2), (dice.around(0, 0.15), foot)))
        for side in (-1, 1):
            if dice.chance(0.35):
                root, tip = (0.0, dice.between(0.5, 0.8) * foot), (side * dice.between(0.3, 0.6), 0.35 * foot)
                upper, lower = (tip[0] * 0.4, root[1] - 0.3), (tip[0] * 0.7, root[1])
                strokes.append(curve(root, upper, tip, lower, root))
    return strokes


def house(dice: Dice) -> Figure:
    """Walls and a gabled roof, with or without a door, windows, a chimney and smoke."""
    width, top, base = dice.between(0.6, 0.95), dice.around(-0.15, 0.1), dice.between(0.7, 1.0)
    eaves, peak = dice.pick((0.0, dice.between(0.1, 0.3))), top - dice.between(0.4, 0.9)
    wall = [(-width, top), (-width, base), (width, base), (width, top)]
    gable = [(-width - eaves, top), (dice.around(0, 0.08), peak), (width + eaves, top)]
    if dice.chance(0.2):
        gable[1:2] = [(-width * 0.5, peak), (width * 0.5, peak)]
    if dice.chance(0.2):
        strokes = [line(*wall, *reversed(gable)), line(gable[0], gable[-1])]
    else:
        strokes = [line(*wall, *wall[: dice.count(0, 1)]), line(*gable, *gable[: dice.count(0, 1)])]
    if dice.chance(0.7):
        x, half, height = dice.around(0, width * 0.22), dice.between(0.1, 0.22), dice.between(0.4, 0.65)
        strokes.append(line((x - half, base), (x - half, base - height), (x + half, base - height), (x + half, base)))
        if dice.chance(0.3):
            strokes.append(dot(x + half * 0.6, base - height / 2))
    for side in (-1, 1):
        if dice.chance(0.45):
            x, y, half = side * width * 0.58, top + dice.between(0.25, 0.4), dice.between(0.1, 0.2)
            box = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
            strokes.append(line(*box, box[0]))
            if dice.chance(0.5):
                strokes += [line((x, y - half), (x, y + half)), line((x - half, y), (x + half, y))]
    if dice.chance(0.3):
        x, y = dice.pick((-0.5, 0.5)) * width, (top + peak) / 2
        strokes.append(line((x - 0.1, y), (x - 0.1, peak - 0.1), (x + 0.1, peak - 0.1), (x + 0.1, y + 0.1)))
        if dice.chance(0.4):
            strokes.append(curve((x, peak - 0.2), (x + 0.2, peak - 0.35), (x, peak - 0.5), (x + 0.25, peak - 0.7)))
    return strokes


def sun(dice: Dice) -> Figure:
    """A disc with rays, which are lines or a ring of spikes; sometimes with a face, or in a corner."""
    radius, number, long = dice.between(0.35, 0.65), dice.count(6, 14), dice.between(0.2, 0.5)
    style = dice.roll()
    if style < 0.08:
        strokes = [arc(-1, -1, radius * 1.8, radius * 1.8, 0, 0.25)]
        for ray in range(4):
            across, down = direction(0.02 + ray * 0.07)
            near, far = radius * 1.95, radius * 1.95 + long
            strokes.append(line((across * near - 1, down * near - 1), (across * far - 1, down * far - 1)))
        return strokes
    strokes = [ring(dice, 0, 0, radius, radius * dice.around(1, 0.08))]
    if style < 0.2:
        strokes.append(cloud(dice, 0, 0, radius + long, radius + long, number))
    elif style < 0.32:
        corners = []
        for point in range(2 * number):
            across, down = direction(point / number / 2)
            reach = radius * 1.05 + (long if point % 2 else 0)
            corners.append((across * reach, down * reach))
        strokes.append(line(*corners, corners[0]))
    else:
        strokes += rays(dice, 0, radius * dice.between(1, 1.25), long, number)
    if dice.chance(0.2):
        strokes += [*eyes(dice, radius, radius), arc(0, 0, radius * 0.55, radius * 0.55, 0.1, 0.3)]
    return strokes


def tree(dice: Dice) -> Figure:
    """A bumpy or round crown, or a fir's triangles, on a trunk of two lines; sometimes without leaves."""
    high, width, height = dice.around(-0.45, 0.08), dice.between(0.5, 0.95), dice.between(0.45, 0.7)
    base, half, style = dice.between(0.8, 1.1), dice.between(0.08, 0.24), dice.roll()
    low = high + height
    if style < 0.55:
        strokes = [cloud(dice, 0, high, width, height, dice.count(6, 11))]
    elif style < 0.75:
        strokes = [ring(dice, 0, high, width, height)]
    elif style < 0.9:
        tiers = dice.count(1, 4)
        right = []
        for tier in range(tiers):
            y = high - height + 2 * height * (tier + 1) / tiers
            right += [(width * (tier + 1) / tiers, y), (width * (tier + 1) / tiers * 0.5, y - 0.05)]
        right[-1] = (half, low)
        crown = [(0.0, high - height), *right]
        strokes = [line(*[(-x, y) for x, y in reversed(crown)], *crown[1:])]
    else:
        strokes = [
            line((0, low), (side * width * dice.between(0.3, 1), high + dice.around(0, 0.3))) for side in (-1, 1, -1)
        ]
    flare = dice.pick((0.0, dice.between(0, 0.2)))
    if dice.chance(0.25):
        strokes.append(line((-half, low - 0.1), (-half - flare, base), (half + flare, base), (half, low - 0.1)))
    elif dice.chance(0.12):
        strokes.append(line((0, low - 0.1), (0, base)))
    else:
        for side in (-1, 1):
            strokes.append(curve((side * half, low - 0.1), (side * half, low + 0.3), (side * (half + flare), base)))
    if dice.chance(0.12):
        strokes += [
            ring(dice, width * x, high + y * height, 0.07, 0.07) for x, y in ((-0.4, 0), (0.2, -0.3), (0.3, 0.4))
        ]
    if dice.chance(0.1):
        strokes.append(line((-1, base), (1, base + dice.around(0, 0.05))))
    return strokes


def rays(dice: Dice, y: float, near: float, long: float, number: int) -> Figure:
    """Lines outward from a circle of radius `near` around (0, y)."""
    turn = dice.roll()
    strokes = []
    for ray in range(number):
        across, down = direction(turn + (ray + dice.around(0, 0.12)) / number)
        start, end = near * dice.around(1, 0.04), near + long * dice.around(1, 0.15)
        strokes.append(line((across * start, y + down * start), (across * end, y + down * end)))
    return strokes


FIGURES: dict[str, Callable[[Dice], Figure]] = {
    "apple": apple,
    "bear": bear,
    "bicycle": bicycle,
    "cat": cat,
    "eyeglasses": eyeglasses,
    "fish": fish,
    "flower": flower,
    "house": house,
    "sun": sun,
    "tree": tree,
}
