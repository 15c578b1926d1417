"""What the values of a config may be: each check returns the value in its type, or says what it must be."""

import contextlib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from lskd_nmt.data.filters.screen import NAMES
from lskd_nmt.evaluate.metrics import RESERVED
from lskd_nmt.fairseq_io import flag_values
from lskd_nmt.losses.settings import Tail, default_tail
from lskd_nmt.storage.typed import Json

ALL_SETS = "all"  # no test set's name: files of the mean over all sets have it
Check = Callable[[Json], Json]  # raises ValueError with the text behind "it must be"


def number(low: float, high: float, what: str, low_included: bool = True, high_included: bool = True) -> Check:
    """A finite float between `low` and `high`."""

    def check(value: Json) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(what)
        try:
            result = float(value)  # YAML 1.1 reads 1e-3 as text
        except (ValueError, OverflowError):
            raise ValueError(what) from None
        above = result >= low if low_included else result > low
        below = result <= high if high_included else result < high
        if not (math.isfinite(result) and above and below):
            raise ValueError(what)
        return result

    return check


MOST = 2**32 - 1  # the largest seed of numpy's generator; sizes are far below


def integer(value: Json) -> int:
    """A whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise ValueError(f"a whole number from 1{'' if not isinstance(value, int) or value < 1 else f' to {MOST}'}")
    return value


def whole(value: Json) -> int:
    """A whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError(f"a whole number from 0{'' if not isinstance(value, int) or value < 0 else f' to {MOST}'}")
    return value


def truth(value: Json) -> bool:
    """A YAML true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def word(value: Json) -> str:
    """A name for files and commands."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        quotes = " (in quotes: YAML reads it as a truth value)" if isinstance(value, bool) else ""
        raise ValueError(f"a name of letters, digits, '.', '_' and '-'{quotes}")
    return value


def choice(*names: str) -> Check:
    """One of `names`."""

    def check(value: Json) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return str(value)

    return check


def several(check: Check) -> Callable[[Json], list[Json]]:
    """A list of different values; one value alone is a list of one."""

    def check_all(value: Json) -> list[Json]:
        values = [check(item) for item in (value if isinstance(value, list) else [value])]
        if not values or len(set(values)) < len(values):
            raise ValueError("a list of different values, at least one")
        return values

    return check_all


def filters(value: Json) -> str:
    """One filter or several, see `data/filters/screen.py`, with commas between as a flag has them."""
    names = several(choice(*NAMES, "all"))(value)
    return ",".join(map(str, names))


def path(value: Json) -> str:
    """A path with its ${VAR} expanded, absolute: commands run from the run folder."""
    if not isinstance(value, str) or not value or any(letter < " " for letter in value):
        raise ValueError("a path")
    try:
        return str(Path(expanded(value)).expanduser().absolute())
    except RuntimeError:
        raise ValueError("a path, and no user's folder that is not there") from None


def path_or(name: str) -> Check:
    """A path, or the one `name` that means something else."""

    def check(value: Json) -> str:
        try:
            return name if value == name else path(value)
        except ValueError as error:
            raise ValueError(f"{name}, or {error}") from None

    return check


def metric_name(value: Json) -> str:
    """The name of a metric: a key of files, and the name of one."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9_.+-]{0,39}", value) or value in RESERVED:
        raise ValueError("names of metrics, such as bleu: small letters, digits, '+', '-', '_', and no key of a table")
    return value


def commands(value: Json) -> dict[str, Json]:
    """Lines of the shell by metric, with their ${VAR} expanded."""
    if not isinstance(value, dict) or not value:
        raise ValueError("the command of each metric by its name, such as {comet22: python comet.py}")
    return {metric_name(name): expanded(line(command)) for name, command in value.items()}


def expanded(text: str) -> str:
    """Text with its ${VAR} expanded."""
    return re.sub(r"\$\{(\w+)\}", lambda match: environment(match[1]), text)


# kinds of teachers that are there already, and what names them
PLACES = {"fairseq": "CHECKPOINT", "hf": "DIR-OR-NAME", "ct2": "DIR", "translations": "FILE"}


def origin(value: Json) -> str:
    """A teacher that is there already, as `KIND:PLACE` with the path absolute, or `none`."""
    kind, _, place = (part.strip() for part in str(value).partition(":"))
    if value == "none":
        return "none"
    if not isinstance(value, str) or kind not in PLACES or not place:
        raise ValueError(f"{', '.join(f'{kind}:{name}' for kind, name in PLACES.items())} or none")
    if kind == "hf" and not place.startswith((".", "/", "~", "$")) and not Path(place).exists():
        return f"{kind}:{word_of_hub(place)}"
    return f"{kind}:{path(place)}"


def word_of_hub(name: str) -> str:
    """The name of a model as Hugging Face has it, such as Helsinki-NLP/opus-mt-en-de."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name):
        raise ValueError("hf: with a folder, or with a name such as Helsinki-NLP/opus-mt-en-de")
    return name


def hub(value: Json) -> str:
    """A tokeniser of Hugging Face: hf: with a folder or a name."""
    if not isinstance(value, str) or not value.startswith("hf:"):
        raise ValueError("hf: with a folder or a name")
    return origin(value)


def text(value: Json) -> str:
    """Text of one line as it is, spaces at its ends included."""
    if not isinstance(value, str) or not value or "\n" in value:
        raise ValueError("one line of text")
    return value


SHARE = number(0, 1, "a number between 0 and 1", low_included=False, high_included=False)


def monolingual(value: Json) -> dict[str, Json]:
    """Files of text without a target side, their share, and their translations where these are there already."""
    known = {"files", "share", "translations"}
    if not isinstance(value, dict) or not value.get("files") or set(value) - known:
        raise ValueError("{files: FILE, share: 0.5}, with translations: FILE where they are there already")
    found: dict[str, Json] = {"files": several(path_of_several)(value["files"])}
    found["share"] = None if value.get("share") is None else SHARE(value["share"])
    if value.get("translations") is not None:
        found["translations"] = several(path_of_several)(value["translations"])
    lists = [each for name in ("files", "translations") if isinstance(each := found.get(name), list)]
    if len({len(each) for each in lists}) > 1:
        raise ValueError("as many translations as files")
    return found


def init(value: Json) -> dict[str, Json]:
    """The layers of its teacher that a student starts from."""
    form = "{from: teacher, encoder: [0, 3, 5], decoder: [0, 5]}: layers from 0, each once"
    if not isinstance(value, dict) or {*value} - {"from"} != {"encoder", "decoder"}:
        raise ValueError(form)
    given = value["encoder"], value["decoder"]
    sides: list[list[Json]] = [list(each) if isinstance(each, list) else [each] for each in given]
    whole = all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for side in sides for each in side)
    once = whole and all(side and len(set(side)) == len(side) for side in sides)
    if not once or value.get("from", "teacher") != "teacher":
        raise ValueError(form)
    return {"encoder": sides[0], "decoder": sides[1]}


def path_of_several(value: Json) -> str:
    """A path without a colon, which would separate two."""
    found = path(value)
    if ":" in found:
        raise ValueError("paths without a colon")
    return found


def word_or_none(value: Json) -> str:
    """A name, or an empty text for none."""
    return "" if value == "" else word(value)


def environment(name: str) -> str:
    """The environment variable `name`, which must be set."""
    if name not in os.environ:
        raise ValueError(f"a path whose variables are set, and {name} is not: export {name}=FOLDER")
    return os.environ[name]


def average(value: Json) -> dict[str, Json]:
    """Which checkpoints become one: `{"last": N}` or `{"best": N}`."""
    if isinstance(value, dict) and len(value) == 1 and set(value) <= {"last", "best"}:
        with contextlib.suppress(ValueError):
            return {how: integer(count) for how, count in value.items()}
    raise ValueError("{last: N} or {best: N}, N a whole number from 1")


def tail(value: Json) -> str:
    """What becomes of the symbols outside of the teacher's top k, and k: `dense`, `bucket:8`, …"""
    of_top_k = "|".join(name for name in get_args(Tail) if name != default_tail(top_k=0))
    if value == default_tail(top_k=0) or re.fullmatch(rf"({of_top_k}):[1-9]\d{{0,8}}", str(value)):
        return str(value)
    raise ValueError("dense, or bucket, uniform or renormalise with its number of symbols, such as bucket:8")


class FlagError(ValueError):
    """What is wrong with one flag of several."""

    def __init__(self, flag: str, value: Json, what: str) -> None:
        super().__init__(f".{flag} is {shown(value)}, it must be {what}")


def shown(value: Json) -> str:
    """A value as a complaint has it: on one line, and not long."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]} … ({len(text):,} characters)"


def flags(value: Json) -> dict[str, Json]:
    """fairseq-train flags without their dashes; a mapping is passed as JSON, false or null takes a default out."""
    what = "fairseq-train flags without dashes, 'max-tokens: 4096' (several values as one text)"
    if not isinstance(value, dict) or any(isinstance(item, list) for item in value.values()):
        raise ValueError(what)
    return named_flags(value, what)


def named_flags(value: dict[str, Json], what: str) -> dict[str, Json]:
    """Flags by their names with dashes, each once, and with a value that fairseq can be given; `what` they must be."""
    result: dict[str, Json] = {}
    for name, item in value.items():
        flag = str(name).replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", flag):
            raise ValueError(what)
        if flag in result:
            raise ValueError(f"{what}, each once: {flag} and {flag.replace('-', '_')} are one")
        try:
            flag_values.require_value(flag, item)
        except ValueError as error:
            raise FlagError(flag, item, str(error)) from None
        result[flag] = item
    return result


def line(value: Json) -> str:
    """One line of text."""
    if not isinstance(value, str) or not value.strip() or "\n" in value.strip():
        raise ValueError("one line of text")
    return value.strip()


def options(value: Json) -> dict[str, Json]:
    """kd_ls flags without their dashes, each with one value; false or null takes one out."""
    what = "kd_ls flags without dashes and with one value each, 'kd-weight: 0.5'"
    if not isinstance(value, dict) or any(isinstance(item, list | dict) for item in value.values()):
        raise ValueError(what)
    return named_flags(value, what)


def named_tests(value: Json) -> dict[str, Json]:
    """Test sets by their names: NAME: PREFIX of its two files."""
    what = "test sets by name, such as {test2016: data/test2016, flickr2017: data/flickr2017}"
    if not isinstance(value, dict) or not value:
        raise ValueError(what)
    found: dict[str, Json] = {}
    for name, prefix in value.items():
        try:
            word(name)
        except ValueError as error:
            raise ValueError(f"{what}, and the name {name!r} {error}") from None
        if name == ALL_SETS:
            raise ValueError(f"{what}, and none is called {ALL_SETS}, which means the mean over all")
        found[name] = path(prefix)
    return found
