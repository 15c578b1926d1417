"""The one rule that says whether a published result was found again; docs/table.md has it in words."""

ENOUGH_SEEDS = 3  # fewer say nothing of how seeds vary
ABOUT_ZERO = 0.1  # BLEU: a published difference smaller than this has no sign
CLOSE = 1.0  # BLEU: an interval that reaches farther from the published number is too wide to confirm it

REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided"


def few(number: int, what: str = "seed") -> str | None:
    """The verdict of too few seeds, or teachers."""
    if number >= ENOUGH_SEEDS:
        return None
    return f"{UNDECIDED} ({f'one {what}' if number == 1 else f'{number} {what}s'})"


def direction(published: float, low: float, high: float, seeds: int) -> str:
    """Of a difference: is its sign the published one? `low` and `high` are the ends of our 95 % interval."""
    if abs(published) < ABOUT_ZERO:
        inside, outside = low >= -ABOUT_ZERO and high <= ABOUT_ZERO, low > ABOUT_ZERO or high < -ABOUT_ZERO
    else:
        inside, outside = (low > 0, high < 0) if published > 0 else (high < 0, low > 0)
    return few(seeds) or (REPRODUCED if inside else NOT_REPRODUCED if outside else UNDECIDED)


def absolute(published: float, low: float, high: float, seeds: int) -> str:
    """Of a score: is it the published one?"""
    inside = low <= published <= high
    narrow = published - CLOSE <= low and high <= published + CLOSE
    return few(seeds) or (NOT_REPRODUCED if not inside else REPRODUCED if narrow else UNDECIDED)
