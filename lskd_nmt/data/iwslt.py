"""TED talks as their archives hold them -> train, valid and test, by recipes that are stated here.

`wit3`       IWSLT14's own layout: `train.tags.A-B.LANG`, `IWSLT14.TED*.A-B.LANG.xml`; also packed inside `2014-01.tgz`.
             valid is every 23rd training pair, test is dev2010 + TEDX.dev2012 + tst2010 + tst2011 + tst2012 (those
             that the pair has): the split of fairseq's prepare-iwslt14.sh for German, and ours for Russian, for
             which no published recipe is known.
`ted58`      `datasets/ru_to_en/LANG.{train,dev,test}` (Qi et al. 2018), its own split, detokenised here.
`ted2020`    `TED2020.A-B.LANG` (OPUS), talks in a row: the last 2,000 pairs are test, the 2,000 before them valid.
"""

import html
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lskd_nmt.data.archive import members
from lskd_nmt.data.bitext import Pair, normalised
from lskd_nmt.data.moses import detokenised, tokenised
from lskd_nmt.errors import LskdError, require

Splits = dict[str, list[Pair]]
Watch = Callable[[Sequence[str], str], Iterable[str]]
SPLITS = ("train", "valid", "test")
EVERY = 23  # of the training pairs one is validation
TEST_SETS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
TED58_SPLITS = ("train", "dev", "test")
HELD_OUT = 2000  # pairs of valid and of test where an archive has no split
SKIPPED = re.compile(r"<(url|talkid|keywords|speaker|reviewer|translator|doc|/doc|refset|srcset|tstset|mteval)\b")
KEPT_TAGS = re.compile(r"</?(title|description)>")
SEGMENT = re.compile(r"<seg id=[^>]*>(.*?)</seg>", re.DOTALL)


def unwatched(lines: Sequence[str], what: str) -> Iterable[str]:
    """The lines as they are: progress is shown to nobody."""
    return lines


def extract(archive: Path, layout: str, langs: Sequence[str], form: str = "raw", watch: Watch = unwatched) -> Splits:
    """The three splits of an archive, as `raw` text or in `fairseq14` form (Moses-tokenised, cleaned, lower-cased).

    `watch(lines, what)` passes lines on while they are tokenised, so that a caller can show progress.
    """
    require(
        layout == "wit3" or form == "raw",
        f"--form {form} needs the IWSLT14 archive itself, not {archive.name}: use --form raw",
    )
    pairs = [f"{a}-{b}" for a, b in (langs, reversed(langs))]
    files = members(archive, names(layout, langs), [f"{pair}.tgz" for pair in pairs])
    if layout == "wit3":
        return wit3(files, archive, langs, form, watch)
    return ted58(files, archive, langs, watch) if layout == "ted58" else ted2020(files, archive, langs)


def names(layout: str, langs: Sequence[str]) -> list[str]:
    """The files that a layout may have of these languages."""
    if layout == "ted58":
        return [f"{ted58_folder(langs)}/{lang}.{split}" for lang in langs for split in TED58_SPLITS]
    if layout == "ted2020":
        return [f"TED2020.{'-'.join(sorted(langs))}.{lang}" for lang in langs]
    sides = [(f"{a}-{b}", lang) for a, b in (langs, reversed(langs)) for lang in langs]
    tests = [f"IWSLT14.{name}.{pair}.{lang}.xml" for name in TEST_SETS for pair, lang in sides]
    return [f"train.tags.{pair}.{lang}" for pair, lang in sides] + tests


def text_of(files: dict[str, bytes], name: str, archive: Path) -> list[str]:
    """The lines of one member, which must be there in UTF-8; only line feeds end a line."""
    require(name in files, f"{archive} holds no {name}: it is another archive, or damaged; see data-prep/corpora")
    try:
        return files[name].decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise LskdError(f"{archive}: {name} is not UTF-8: remove it and fetch it again") from None


def paired(sides: Sequence[list[str]], what: str) -> list[Pair]:
    """Two equally long sides as pairs."""
    lengths = [len(side) for side in sides]
    require(lengths[0] == lengths[1], f"{what} has {lengths[0]} and {lengths[1]} lines: remove it and fetch it again")
    return list(zip(*sides, strict=True))


def wit3(files: dict[str, bytes], archive: Path, langs: Sequence[str], form: str, watch: Watch) -> Splits:
    """The splits of IWSLT14's layout; the archive may name the pair in either direction."""
    orders = [f"{langs[0]}-{langs[1]}", f"{langs[1]}-{langs[0]}"]
    pair = next((order for order in orders if f"train.tags.{order}.{langs[0]}" in files), orders[-1])
    sides = [text_of(files, f"train.tags.{pair}.{lang}", archive) for lang in langs]
    train = paired([tag_free(side) for side in sides], f"{archive}: train.tags.{pair}")
    test: list[Pair] = []
    for name in TEST_SETS:
        names = [f"IWSLT14.{name}.{pair}.{lang}.xml" for lang in langs]
        if names[0] in files:
            texts = ["\n".join(text_of(files, file, archive)) for file in names]
            test += paired([segments(text, form == "raw") for text in texts], f"{archive}: {name}")
    require(bool(test), f"{archive} holds none of the test sets {', '.join(TEST_SETS)}: it is another archive")
    if form == "fairseq14":
        train, test = fairseq14(train, langs, True, watch), fairseq14(test, langs, False, watch)
    else:
        train = [pair for pair in map(both_normalised, train) if all(pair)]
        test = [pair for pair in map(both_normalised, test) if all(pair)]
    numbered = list(enumerate(train, 1))
    return {
        "train": [pair for number, pair in numbered if number % EVERY],
        "valid": [pair for number, pair in numbered if number % EVERY == 0],
        "test": test,
    }


def tag_free(lines: Sequence[str]) -> list[str]:
    """Talk text, titles and descriptions, without metadata lines and tags."""
    return [KEPT_TAGS.sub("", line).strip() for line in lines if not SKIPPED.match(line.lstrip())]


def segments(xml: str, unescape: bool) -> list[str]:
    """The segments of a test set; the right single quote becomes an apostrophe and entities stay, as in fairseq's
    script, or are undone."""
    texts = [text.strip().replace("’", "'") for text in SEGMENT.findall(xml)]
    return [html.unescape(text) for text in texts] if unescape else texts


def fairseq14(pairs: Sequence[Pair], langs: Sequence[str], is_train: bool, watch: Watch) -> list[Pair]:
    """Moses tokens (escaped, as the Moses script writes them), 1-175 of them and ratio 1.5 in train, lower-cased."""
    sides = []
    for i, lang in enumerate(langs):
        lines = watch([pair[i] for pair in pairs], f"tokenising {lang}")
        sides.append(tokenised(lines, lang, escape=True))
    kept = []
    for pair in zip(*sides, strict=True):
        lengths = [len(side.split()) for side in pair]
        fits = min(lengths) >= 1 and max(lengths) <= 175 and max(lengths) <= 1.5 * min(lengths)
        if fits or not is_train:
            kept.append((pair[0].lower(), pair[1].lower()))
    return kept


def both_normalised(pair: Pair) -> Pair:
    """The pair with both sides as `bitext.normalised` makes them."""
    return normalised(pair[0]), normalised(pair[1])


def ted58_folder(langs: Sequence[str]) -> str:
    """The folder of a pair, `ru_to_en`."""
    return "_to_".join(sorted(langs, reverse=True))


def ted58(files: dict[str, bytes], archive: Path, langs: Sequence[str], watch: Watch) -> Splits:
    """The splits of Qi et al. (2018), detokenised, as their text has Moses tokens."""
    result: Splits = {}
    for split, theirs in zip(SPLITS, TED58_SPLITS, strict=True):
        sides = []
        for lang in langs:
            lines = text_of(files, f"{ted58_folder(langs)}/{lang}.{theirs}", archive)
            sides.append(detokenised(watch(lines, f"detokenising {lang} {split}"), lang))
        result[split] = [pair for pair in map(both_normalised, paired(sides, f"{archive}: {theirs}")) if all(pair)]
    return result


def ted2020(files: dict[str, bytes], archive: Path, langs: Sequence[str]) -> Splits:
    """The splits of OPUS' TED2020, which is one running text."""
    pair = "-".join(sorted(langs))
    sides = [text_of(files, f"TED2020.{pair}.{lang}", archive) for lang in langs]
    pairs = [pair for pair in map(both_normalised, paired(sides, str(archive))) if all(pair)]
    held_out = min(HELD_OUT, len(pairs) // 10)
    require(held_out > 0, f"{archive} holds {len(pairs)} pairs, too few to split: it is another archive")
    ends = len(pairs) - 2 * held_out, len(pairs) - held_out
    return {"train": pairs[: ends[0]], "valid": pairs[ends[0] : ends[1]], "test": pairs[ends[1] :]}
