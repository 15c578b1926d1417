"""How text was written as words before its subwords were learned: told from the words, done again, and undone.

Older recipes, such as fairseq's `prepare-iwslt14.sh`, learn subwords of Moses tokens. Data do not say so, but their
words show it; the proof is that text made of them gives the same words again.
"""

import re
from collections.abc import Sequence

from lskd_nmt.data.moses import detokenised, tokenised
from lskd_nmt.errors import require
from lskd_nmt.storage.typed import record

FEW = 0.2  # of the lines: raw corpora have such a sign in 1 of 1,000, tokenised ones in 8 of 10
ESCAPES = re.compile(r"&(?:apos|quot|amp|lt|gt|#91|#93|#124);")
# what a tokeniser leaves: Moses' hyphens and escapes, and a full stop or comma after a space, which no language writes
TOKENISED = re.compile(rf"(?:^| )@-@ |{ESCAPES.pattern}|\S [.,。，、](?= |$)")
HYPHEN, UNKNOWN = " @-@ ", "<unk>"
MOST = 1000  # lines that are looked at
SAME = 0.5  # of these, at least, must come back
FORMS = ("raw", "moses")
ADVICE = "by another program, give --form raw and tokenise yourself; else --form moses"


@record
class Tokenisation:
    """How one language's text becomes words: not at all, or by Moses' tokeniser with these options."""

    moses: bool = False
    escape: bool = False  # `&apos;` and the like
    hyphens: bool = False  # well @-@ known: tokenizer.perl -a
    lowercase: bool = False

    def words(self, lines: Sequence[str], lang: str | None) -> list[str]:
        """Text as words with spaces between; English rules for a language that nobody names."""
        if self.moses:
            lines = tokenised(lines, lang or "en", self.escape, self.hyphens)
        return [line.lower() for line in lines] if self.lowercase else list(lines)

    def text(self, lines: Sequence[str], lang: str | None) -> list[str]:
        """Words as text; what was lower-cased stays so."""
        return detokenised(lines, lang or "en") if self.moses else list(lines)

    def come_back(self, lines: Sequence[str], lang: str | None) -> int:
        """How many lines of words are the same again after text has been made of them."""
        return sum(map(str.__eq__, lines, self.words(self.text(lines, lang), lang)))

    def __str__(self) -> str:
        kinds = {"escaped": self.escape, "hyphens as @-@": self.hyphens}
        moses = ", ".join(["Moses tokens", *(name for name, holds in kinds.items() if holds)])
        return f"{moses if self.moses else 'it is'}{', lower-cased' if self.lowercase else ''}"


PREPARED = {  # by data-prep/prepare.sh --form
    "raw": Tokenisation(),
    "fairseq14": Tokenisation(moses=True, escape=True, lowercase=True),
}


def looks_tokenised(lines: Sequence[str]) -> bool:
    """Whether text shows what a tokeniser leaves: escapes, `@-@`, punctuation after a space."""
    return sum(bool(TOKENISED.search(line)) for line in lines) > FEW * len(lines)


def found_in(lines: Sequence[str], lang: str, form: str | None = None, advice: str = ADVICE) -> Tokenisation:
    """How these words were made of text; refused if Moses' tokeniser, by the signs, does not make them again.

    `form` is one of `FORMS`, if the user knows it. Words of a script without capitals are not lower-cased.
    """
    require(form is None or form in FORMS, f"--form is {form}: one of {', '.join(FORMS)}")
    lines = [line for line in lines if line and UNKNOWN not in line.split()][:MOST]
    whole = "".join(lines)
    lowercase = whole == whole.lower() != whole.upper()
    moses = form == "moses" or (form is None and looks_tokenised(lines))
    if not moses:
        return Tokenisation(lowercase=lowercase)
    hyphens = any(HYPHEN in line for line in lines)
    found = Tokenisation(moses, any(map(ESCAPES.search, lines)), hyphens, lowercase)
    same = found.come_back(lines, lang)
    require(
        form is not None or same >= SAME * len(lines),
        f"Moses' tokeniser makes {same} of {len(lines)} lines of {lang} again as they are in the data, which are "
        f"tokenised: {advice}",
    )
    return found
