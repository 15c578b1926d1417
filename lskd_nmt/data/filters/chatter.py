"""What a language model says about its translation: announcements, labels, notes, offers, and marks of Markdown.

`seqkd/answers.py` takes away what stands on lines of its own; this is what is left within the line.
"""

import re

# "translation", "translate" and "translated" in some 30 languages, by their stems
TRANSLATION = (
    r"translat|übersetz|uebersetz|vertal|traduc|traduç|traduz|traduit|tradui|tłumacz|překlad|preklad"
    r"|přelož|prelož|prijevod"
    r"|превод|перевод|перевед|переклад|fordít|käännös|käänn|översätt|oversett|oversæt|þýð|tõlk|tulkoj"
    r"|vertimas|çevir|çeviri"
    r"|terjemah|μετάφρασ|μεταφρ|ترجم|תרגו|अनुवाद|অনুবাদ|แปล|bản dịch|dịch|tafsiri|翻译|翻譯|译文|譯文|翻訳|訳文|번역"
)
HERE = (
    r"here(?: is|'s|’s| are)|below is|the following is|hier (?:ist|sind|kommt)|voici"
    r"|aqu[ií] (?:está|tienes|tiene)|ecco"
    r"|eis|aqui está|вот|hier is|oto|以下是|这是|這是|こちらは|以下は|다음은"
)
ANNOUNCES = re.compile(
    rf"^.{{0,60}}?(?:{TRANSLATION})[^.!?。]{{0,60}}[:：]|\b(?:{HERE})\b[^.!?。]{{0,40}}(?:{TRANSLATION})", re.I
)
ANNOUNCES_AT_END = re.compile(rf"[(\[（【*][^)\]）】]{{0,40}}(?:{TRANSLATION})[^)\]）】]*[)\]）】*]?\W*$", re.I)
STEMS = TRANSLATION.split("|")
LABELS = (
    r"(?:in |auf |en |em |in het |на |по-)?(?:english|german|french|spanish|italian|portuguese|dutch|polish|russian"
    r"|czech|ukrainian|chinese|japanese|korean|turkish|arabic|englisch|deutsch|französisch|spanisch|anglais"
    r"|allemand|français"
    r"|espagnol|inglés|alemán|francés|español|inglese|tedesco|francese|английск\w*|немецк\w*|русск\w*"
    r"|русски|中文|英文|德语"
    r"|日本語|英語|한국어)(?: version| translation"
    r"| text)?|source|target|output|input|answer|response|result|assistant|user"
    r"|sentence|antwort|ausgabe|ergebnis|satz|réponse|sortie|respuesta|salida|risposta|resposta|ответ|回答|答案|答え"
)
LABEL = re.compile(rf"^\W*(?:{LABELS})\W*[:：]\s*\S", re.I)
NOTES = (
    r"note|notes|translator.s note|explanation|breakdown|literally|literal translation|alternatively"
    r"|context|anmerkung|hinweis"
    r"|erklärung|erläuterung|wörtlich|alternativ|remarque|explication|littéralement|nota|explicación"
    r"|literalmente"
    r"|spiegazione|explicação|opmerking|uwaga|poznámka|примечание|пояснение|буквально|примітка|注|注释|解释|说明"
    r"|備考|説明|注意"
)
NOTE = re.compile(
    rf"(?:^|[.!?。…\"”“*)\]]\s*|[(\[（【*_]\s*)[*_]*(?:{NOTES})[*_]*\s*[:：]|[(\[（【]\s*(?:{NOTES})\b", re.I
)
OFFERS = re.compile(
    r"\bas an ai\b|\blanguage model\b|\bi hope (?:this|that|it) (?:\w+ )?helps"
    r"|\blet me know if you(?:'d| would| need| have| want)"
    r"|\bfeel free to\b"
    r"|\bi(?: can'?no?t|'m (?:sorry|unable)| am (?:sorry|unable))[^.!?]{0,40}(?:translat|assist|help)"
    r"|\bas requested\b|\bals (?:ki|sprachmodell)\b|\bich hoffe,? das hilft"
    r"|\blassen sie (?:es )?mich (?:es )?wissen"
    r"|\bsprachmodell\b|en tant qu[e'’] ?(?:ia|modèle)|n'hésitez pas|como (?:modelo|una? ia)"
    r"|espero que (?:esto|te) (?:ayude|sirva)"
    r"|как (?:языковая модель|ии)|надеюсь,? это помо|作为(?:一个)?(?:ai|人工智能|语言模型)|希望(?:这|對|对)\S{0,4}帮助",
    re.I,
)
OPENING = re.compile(
    r"^\W*(sure|certainly|of course|absolutely|okay|great question|here (?:is|are|you go)|here's)\s*[!.,:]", re.I
)
MARKS = re.compile(
    r"```|\*\*\S|^\s*#{1,6}\s|^\s*[-*•]\s|__\w[^_]*__"
    r"|</?(?:think|s|b|i|p|br|source|target|translation|text)\b[^>]*>|<\|"
    r"|\[/?INST\]|^\s*>\s|\\n|`[^`]+`",
    re.I,
)
DIALOGUE = re.compile(r"^\s*[-–—−*•]")


def is_chatter(source: str, target: str, langs: tuple[str, str]) -> bool:
    """Whether the target says something about the translation, or is marked up, and its source is not so.

    Each of these is chatter unless the source does the same, in any of the languages that are known here:

    - a translation is announced: the word (in some 30 languages) before a colon, after "here is", or in brackets;
    - the target begins with a label, such as the name of a language or "Answer", and a colon;
    - a note, explanation or literal wording: the word with a colon, or after an opening bracket;
    - an offer or excuse of a language model ("I hope this helps", "as an AI");
    - "Sure!", "Certainly", "Of course", "Here you go" at the beginning, where the target's language is not English;
    - marks of Markdown, HTML or a chat template.
    """
    if mentions(target) and not mentions(source) and (ANNOUNCES.search(target) or ANNOUNCES_AT_END.search(target)):
        return True
    has_colon = ":" in source or "：" in source
    if not has_colon and (":" in target or "：" in target) and LABEL.search(target):
        return True
    if NOTE.search(target) and not NOTE.search(source) and not (has_colon and ":" in target[:40]):
        return True
    if OFFERS.search(target) and not OFFERS.search(source):
        return True
    if not langs[1].lower().startswith("en") and OPENING.search(target) and not OPENING.search(source):
        return True
    found = MARKS.search(target)
    return bool(found) and not MARKS.search(source) and not (DIALOGUE.search(target) and DIALOGUE.search(source))


def mentions(text: str) -> bool:
    """Whether a text has the word "translation", or one of its kin in other languages."""
    text = text.lower()
    return any(stem in text for stem in STEMS)
