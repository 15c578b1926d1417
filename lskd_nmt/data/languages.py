"""What differs between languages in their text itself: whether words are separated by spaces."""

# of ISO 639: Chinese, Cantonese, Wu, classical Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan, Dzongkha
UNSPACED = frozenset({"zh", "yue", "wuu", "lzh", "ja", "th", "lo", "km", "my", "bo", "dz"})

# three-letter codes, and names of one language that others use
ALIASES = {
    **dict.fromkeys(("zho", "chi", "cmn", "cn", "zht", "zhs"), "zh"),
    **dict.fromkeys(("jpn", "jp"), "ja"),
    **dict.fromkeys(("kor", "kr"), "ko"),
    **dict.fromkeys(("mya", "bur"), "my"),
    **dict.fromkeys(("bod", "tib"), "bo"),
    **dict.fromkeys(("ell", "gre"), "el"),
    "tha": "th",
    "lao": "lo",
    "khm": "km",
    "dzo": "dz",
}


def base_language(lang: str) -> str:
    """The language of a code with or without script and region: `zh` of `zh`, `zh_CN`, `zh-Hans` and `zho_Hans`."""
    code = lang.replace("-", "_").split("_")[0].lower()
    return ALIASES.get(code, code)


def is_unspaced(lang: str) -> bool:
    """Whether the language is written without spaces between its words, so that a count of words says nothing."""
    return base_language(lang) in UNSPACED
