"""How FSMT's teachers cut text: transformers' own tokeniser, which is Moses' with BPE, subwords as fairseq has them."""

from pathlib import Path

from lskd_nmt.errors import LskdError, reason
from lskd_nmt.hf_io.folders import library
from lskd_nmt.hf_io.vocabularies import REMEDY, as_subword_nmt
from lskd_nmt.storage.files import read_json

FILES = ("merges.txt", "vocab-src.json", "vocab-tgt.json", "tokenizer_config.json")


class FsmtSubwords:
    """Cuts lines of one language; what it makes of punctuation is not undone by putting words together again."""

    def __init__(self, folder: Path, lang: str) -> None:
        """`folder` has `FILES`; `lang` is the language whose Moses tokenisation is taken."""
        merges, source, target, config = (folder / name for name in FILES)
        names = {"src_vocab_file": str(source), "tgt_vocab_file": str(target), "merges_file": str(merges)}
        lower = bool(read_json(config).get("do_lower_case"))
        tokenizer = library(str(folder)).FSMTTokenizer
        try:
            self.tokenizer = tokenizer(langs=[lang, lang], do_lower_case=lower, **names)
        except Exception as error:
            raise LskdError(f"{folder} has no tokeniser that transformers opens ({reason(error)}): {REMEDY}") from None

    def pieces(self, line: str) -> list[str]:
        """A line's subwords; Moses writes `&apos;` and the like, so that none is a symbol of fairseq's."""
        return [as_subword_nmt(str(token)) for token in self.tokenizer._tokenize(line)]
