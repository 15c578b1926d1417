"""Which tokens of an output the reference has: the alignment behind TER, by sacreBLEU's own search."""

from collections.abc import Sequence

from sacrebleu.metrics.lib_ter import _MAX_SHIFT_CANDIDATES, BeamEditDistance, _shift

RIGHT, SUBSTITUTED, UNALIGNED, END = range(4)  # the end symbol is not aligned
OF_TRACE = {" ": RIGHT, "s": SUBSTITUTED, "d": UNALIGNED}


class Token(str):
    """A token that knows its place, also after it was shifted."""

    place: int

    @classmethod
    def at(cls, text: str, place: int) -> "Token":
        """The token at a place."""
        token = cls(text)
        token.place = place
        return token


def ter_edits(output: Sequence[str], reference: Sequence[str]) -> tuple[list[int], int]:
    """What TER does with each token of the output, shifts undone, and the number of its shifts."""
    tokens: list[str] = [Token.at(each, place) for place, each in enumerate(output)]
    distance, checked, shifts = BeamEditDistance(list(reference)), 0, 0
    while reference:
        gain, moved, checked = _shift(tokens, list(reference), distance, checked)
        if checked >= _MAX_SHIFT_CANDIDATES or gain <= 0:
            break
        tokens, shifts = moved, shifts + 1
    edits = [UNALIGNED] * len(tokens)
    operations = [operation for operation in distance(tokens)[1] if operation != "i"]  # of the output's tokens
    for token, operation in zip(tokens, operations, strict=True):
        assert isinstance(token, Token)
        edits[token.place] = OF_TRACE[operation]
    return edits, shifts
