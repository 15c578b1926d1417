"""The toy grammar against sentences and declensions worked out by hand, and its laws as a corpus."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from lskd_nmt.data import toy
from lskd_nmt.data.toy import compose, english, german, russian, words
from lskd_nmt.data.toy import german_forms as de
from lskd_nmt.data.toy import russian_forms as ru
from lskd_nmt.data.toy.meaning import Adjunct, Clause, NounPhrase, Sentence, Tense
from lskd_nmt.errors import LskdError

T = Tense
PLURALS = {noun.plural: noun.singular for noun in words.NOUNS.values() if noun.plural}


class Fixed(Random):
    """Always the same number: 0 draws the commonest synonym, 0.99 the rarest."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self.number = number

    def random(self) -> float:
        return self.number


def phrase(text: str) -> NounPhrase:
    """`my brother's new car`, as the grammar takes it apart."""
    if "'s " in text:
        owner, rest = text.split("'s ")
        owned = phrase(rest)
        return NounPhrase(owned.head, "", owned.plural, owned.adjective, phrase(owner))
    *before, head = text.split()
    determiner = before.pop(0) if before and before[0] not in words.ADJECTIVES else ""
    return NounPhrase(PLURALS.get(head, head), determiner, head in PLURALS, before[0] if before else "")


def clause(subject: str, verb: str, tense: Tense, what: str = "", whom: str = "", **more: object) -> Clause:
    adjuncts = tuple(Adjunct(r.replace("_", " "), phrase(str(more.pop(r)))) for r in list(more) if r in RELATIONS)
    parts = {"object": phrase(what) if what else None, "recipient": phrase(whom) if whom else None}
    return Clause(phrase(subject), verb, tense, adjuncts=adjuncts, **parts, **more)  # type: ignore[arg-type]


RELATIONS = ("in", "to", "with", "without", "for", "near", "behind", "in_front_of")

CLAUSES = [
    # verb second, articles, mixed endings | perfective for one event, feminine accusative
    (
        clause("the teacher", "buy", T.PAST, "a new car", time="yesterday"),
        "The teacher bought a new car yesterday.",
        "Der Lehrer kaufte gestern ein neues Auto.",
        "Учитель вчера купил новую машину.",
    ),
    (
        clause("the teacher", "buy", T.PAST, "the car", time="yesterday", time_first=True),
        "Yesterday the teacher bought the car.",
        "Gestern kaufte der Lehrer das Auto.",
        "Вчера учитель купил машину.",
    ),
    # separable verbs, manner behind a definite object | imperfective for what goes on
    (
        clause("she", "open", T.PROGRESSIVE, "the window", time="now"),
        "She is opening the window now.",
        "Sie macht gerade das Fenster auf.",
        "Она сейчас открывает окно.",
    ),
    (
        clause("she", "close", T.PAST, "the big box", manner="carefully"),
        "She carefully closed the big box.",
        "Sie machte die große Schachtel vorsichtig zu.",
        "Она осторожно закрыла большую коробку.",
    ),
    (
        clause("we", "take along", T.PAST, "our suitcase"),
        "We took along our suitcase.",
        "Wir nahmen unseren Koffer mit.",
        "Мы взяли с собой свой чемодан.",
    ),
    # perfect with haben and sein, noch nicht, noch kein
    (
        clause("the girl", "read", T.PERFECT, "the letter", negated=True),
        "The girl has not read the letter yet.",
        "Das Mädchen hat den Brief noch nicht gelesen.",
        "Девочка ещё не прочитала письмо.",
    ),
    (
        clause("he", "sell", T.PERFECT, "a table", negated=True),
        "He has not sold a table yet.",
        "Er hat noch keinen Tisch verkauft.",
        "Он ещё не продал стол.",
    ),
    (
        clause("the guests", "arrive", T.PERFECT, frequency="already"),
        "The guests have already arrived.",
        "Die Gäste sind schon angekommen.",
        "Гости уже приехали.",
    ),
    # final infinitives | aspect of infinitives: denied wishes are imperfective; short-form agreement of должен
    (
        clause("I", "read", T.PRESENT, "this book", modal="can"),
        "I can read this book.",
        "Ich kann dieses Buch lesen.",
        "Я могу прочитать эту книгу.",
    ),
    (
        clause("she", "sell", T.PRESENT, "the horse", modal="want", negated=True),
        "She does not want to sell the horse.",
        "Sie will das Pferd nicht verkaufen.",
        "Она не хочет продавать лошадь.",
    ),
    (
        clause("my sister", "call", T.PRESENT, "the doctor", modal="must"),
        "My sister must call the doctor.",
        "Meine Schwester muss den Arzt anrufen.",
        "Моя сестра должна позвонить врачу.",
    ),
    (clause("he", "work", T.PAST, modal="must"), "He had to work.", "Er musste arbeiten.", "Он должен был работать."),
    # futures: perfective present, or будет with an infinitive
    (
        clause("I", "read", T.FUTURE, "the story", time="tomorrow"),
        "I will read the story tomorrow.",
        "Ich werde morgen die Geschichte lesen.",
        "Я завтра прочитаю историю.",
    ),
    (
        clause("he", "read", T.FUTURE_HABIT, "the newspaper", time="every day"),
        "He will read the newspaper every day.",
        "Er wird jeden Tag die Zeitung lesen.",
        "Он каждый день будет читать газету.",
    ),
    (
        clause("the girl", "read", T.PAST_HABIT, "a poem", time="every day"),
        "The girl read a poem every day.",
        "Das Mädchen las jeden Tag ein Gedicht.",
        "Девочка каждый день читала стихотворение.",
    ),
    (
        clause("the man", "drink", T.PAST, "coffee"),
        "The man drank coffee.",
        "Der Mann trank Kaffee.",
        "Мужчина пил кофе.",
    ),
    (
        clause("the man", "drink", T.PAST, "the coffee"),
        "The man drank the coffee.",
        "Der Mann trank den Kaffee.",
        "Мужчина выпил кофе.",
    ),
    # datives, and свой for the subject's own
    (
        clause("I", "help", T.PRESENT, "my brother", frequency="often"),
        "I often help my brother.",
        "Ich helfe oft meinem Bruder.",
        "Я часто помогаю своему брату.",
    ),
    (
        clause("we", "give", T.PAST, "a small gift", "the old woman"),
        "We gave the old woman a small gift.",
        "Wir gaben der alten Frau ein kleines Geschenk.",
        "Мы дали старой женщине маленький подарок.",
    ),
    # genitives, strong endings, plurals | animate accusatives, soft and mixed adjectives
    (
        clause("the neighbour's cat", "be", T.PRESENT, adjective="clever", degree="very"),
        "The neighbour's cat is very clever.",
        "Die Katze des Nachbarn ist sehr klug.",
        "Кошка соседа очень умная.",
    ),
    (
        clause("the story", "be", T.PAST, adjective="long", degree="too"),
        "The story was too long.",
        "Die Geschichte war zu lang.",
        "История была слишком длинной.",
    ),
    (
        clause("I", "drink", T.PROGRESSIVE, "cold milk"),
        "I am drinking cold milk.",
        "Ich trinke kalte Milch.",
        "Я пью холодное молоко.",
    ),
    (
        clause("she", "dance", T.PAST, **{"with": "old friends"}),
        "She danced with old friends.",
        "Sie tanzte mit alten Freunden.",
        "Она танцевала со старыми друзьями.",
    ),
    (clause("I", "see", T.PRESENT, "the children"), "I see the children.", "Ich sehe die Kinder.", "Я вижу детей."),
    (
        clause("I", "see", T.PRESENT, "this red chairs"),
        "I see these red chairs.",
        "Ich sehe diese roten Stühle.",
        "Я вижу эти красные стулья.",
    ),
    (
        clause("he", "lose", T.PAST, "the blue hat"),
        "He lost the blue hat.",
        "Er verlor den blauen Hut.",
        "Он потерял синюю шляпу.",
    ),
    (
        clause("the young man", "invite", T.PAST, "a tourist"),
        "The young man invited a tourist.",
        "Der junge Mann lud einen Touristen ein.",
        "Молодой мужчина пригласил туриста.",
    ),
    # negation: nicht, kein, auf kein, nie | genitive of what is missing, and of bare objects
    (
        clause("they", "repair", T.PAST, "the computer", negated=True),
        "They did not repair the computer.",
        "Sie reparierten den Computer nicht.",
        "Они не починили компьютер.",
    ),
    (
        clause("the doctor", "buy", T.PRESENT, "newspapers", negated=True),
        "The doctor does not buy newspapers.",
        "Der Arzt kauft keine Zeitungen.",
        "Врач не покупает газет.",
    ),
    (
        clause("the dog", "wait for", T.PRESENT, "a guest", negated=True),
        "The dog does not wait for a guest.",
        "Der Hund wartet auf keinen Gast.",
        "Собака не ждёт гостя.",
    ),
    (
        clause("I", "eat", T.PRESENT, "sausages", frequency="never"),
        "I never eat sausages.",
        "Ich esse nie Würste.",
        "Я никогда не ем колбас.",
    ),
    (
        clause("the man", "see", T.PAST, "the bird", negated=True),
        "The man did not see the bird.",
        "Der Mann sah den Vogel nicht.",
        "Мужчина не видел птицу.",
    ),
    (
        clause("my sister", "have", T.PRESENT, "a lamp", negated=True),
        "My sister does not have a lamp.",
        "Meine Schwester hat keine Lampe.",
        "У моей сестры нет лампы.",
    ),
    (
        clause("the boys", "have", T.PAST, "a dog", negated=True),
        "The boys did not have a dog.",
        "Die Jungen hatten keinen Hund.",
        "У мальчиков не было собаки.",
    ),
    (
        clause("he", "have", T.PAST, "old books"),
        "He had old books.",
        "Er hatte alte Bücher.",
        "У него были старые книги.",
    ),
    # places, goals and other prepositions with the cases that they govern
    (
        clause("my friend", "work", T.PRESENT, **{"in": "the garden"}),
        "My friend works in the garden.",
        "Mein Freund arbeitet im Garten.",
        "Мой друг работает в саду.",
    ),
    (
        clause("she", "go", T.PRESENT, to="the station", time="every day"),
        "She goes to the station every day.",
        "Sie geht jeden Tag zum Bahnhof.",
        "Она каждый день ходит на вокзал.",
    ),
    (
        clause("we", "go", T.PROGRESSIVE, to="the theatre", time="now"),
        "We are going to the theatre now.",
        "Wir gehen gerade ins Theater.",
        "Мы сейчас идём в театр.",
    ),
    (
        clause("the child", "go", T.PAST, to="the old school"),
        "The child went to the old school.",
        "Das Kind ging in die alte Schule.",
        "Ребёнок пошёл в старую школу.",
    ),
    (
        clause("the boy", "play", T.PAST, **{"with": "the student"}),
        "The boy played with the student.",
        "Der Junge spielte mit dem Studenten.",
        "Мальчик играл со студентом.",
    ),
    (
        clause("the dog", "sleep", T.PROGRESSIVE, behind="the house"),
        "The dog is sleeping behind the house.",
        "Der Hund schläft hinter dem Haus.",
        "Собака спит за домом.",
    ),
    (
        clause("he", "wait for", T.PAST, "the tourist", in_front_of="the museum"),
        "He waited for the tourist in front of the museum.",
        "Er wartete vor dem Museum auf den Touristen.",
        "Он ждал туриста перед музеем.",
    ),
    (
        clause("we", "find", T.PAST, "the key", near="the school"),
        "We found the key near the school.",
        "Wir fanden den Schlüssel in der Nähe der Schule.",
        "Мы нашли ключ около школы.",
    ),
    (
        clause("he", "buy", T.PAST, "a cake", **{"for": "our guests"}),
        "He bought a cake for our guests.",
        "Er kaufte einen Kuchen für unsere Gäste.",
        "Он купил пирог для наших гостей.",
    ),
    (
        clause("she", "come back", T.PAST, without="a coat"),
        "She came back without a coat.",
        "Sie kam ohne einen Mantel zurück.",
        "Она вернулась без пальто.",
    ),
]

SENTENCES = [
    # verb last, particles joined | aspect: background against event, perfective after если
    (
        Sentence(clause("I", "know", T.PRESENT), "that", clause("the child", "open", T.PERFECT, "the red door")),
        "I know that the child has opened the red door.",
        "Ich weiß, dass das Kind die rote Tür aufgemacht hat.",
        "Я знаю, что ребёнок открыл красную дверь.",
    ),
    (
        Sentence(clause("the man", "work", T.PAST), "because", clause("the guest", "come back", T.PAST)),
        "The man worked because the guest came back.",
        "Der Mann arbeitete, weil der Gast zurückkam.",
        "Мужчина работал, потому что гость вернулся.",
    ),
    (
        Sentence(
            clause("the girl", "call", T.FUTURE, "the neighbour"),
            "if",
            clause("he", "buy", T.CONDITION, "the dog"),
            True,
        ),
        "If he buys the dog, the girl will call the neighbour.",
        "Wenn er den Hund kauft, wird das Mädchen den Nachbarn anrufen.",
        "Если он купит собаку, девочка позвонит соседу.",
    ),
    (
        Sentence(
            clause("the chef", "cook", T.PAST_PROGRESSIVE, "the soup"),
            "when",
            clause("the guest", "arrive", T.PAST),
            True,
        ),
        "When the guest arrived, the chef was cooking the soup.",
        "Als der Gast ankam, kochte der Koch die Suppe.",
        "Когда гость приехал, повар варил суп.",
    ),
    (
        Sentence(
            clause("we", "repair", T.PAST, "the bicycle"), "while", clause("the boy", "sleep", T.PAST_PROGRESSIVE), True
        ),
        "While the boy was sleeping, we repaired the bicycle.",
        "Während der Junge schlief, reparierten wir das Fahrrad.",
        "Пока мальчик спал, мы починили велосипед.",
    ),
    (
        Sentence(clause("the driver", "laugh", T.PAST), "although", clause("the soup", "be", T.PAST, adjective="cold")),
        "The driver laughed although the soup was cold.",
        "Der Fahrer lachte, obwohl die Suppe kalt war.",
        "Водитель смеялся, хотя суп был холодным.",
    ),
    (
        Sentence(clause("the chef", "buy", T.PAST, "the eggs"), question="yes-no"),
        "Did the chef buy the eggs?",
        "Hat der Koch die Eier gekauft?",
        "Повар купил яйца?",
    ),
    (
        Sentence(clause("they", "find", T.PAST, "the key"), question="where"),
        "Where did they find the key?",
        "Wo haben sie den Schlüssel gefunden?",
        "Где они нашли ключ?",
    ),
]

EXPECTED = [(Sentence(main), *texts) for main, *texts in CLAUSES] + SENTENCES


@pytest.mark.parametrize(("sentence", "source", "in_german", "in_russian"), EXPECTED, ids=[row[1] for row in EXPECTED])
def test_a_sentence_reads_as_a_speaker_would_say_it(
    sentence: Sentence, source: str, in_german: str, in_russian: str
) -> None:
    assert english.render(sentence) == source
    assert german.render(sentence, Fixed(0)) == in_german
    assert russian.render(sentence, Fixed(0)) == in_russian


def test_rarer_synonyms_bring_their_own_gender_case_and_word_order() -> None:
    rare = Fixed(0.99)
    car = Sentence(clause("the teacher", "buy", T.PAST, "a new car"))
    assert german.render(car, rare) == "Die Lehrerin erwarb einen neuen Wagen."
    assert russian.render(car, rare) == "Учительница приобрела новый автомобиль."
    helping = Sentence(clause("I", "help", T.PAST, "the man"))
    assert german.render(helping, rare) == "Ich unterstützte den Mann."
    assert russian.render(helping, rare) == "Я помогла мужчине."
    must = Sentence(clause("my sister", "call", T.PAST, "the doctor", modal="must"))
    assert russian.render(must, rare) == "Моей сестре надо было позвонить доктору."
    asked = Sentence(clause("the chef", "buy", T.PAST, "the eggs"), question="yes-no")
    assert russian.render(asked, rare) == "Приобрёл ли повар яйца?"
    opening = Sentence(clause("he", "think", T.PRESENT), "that", clause("she", "open", T.PRESENT, "the door"))
    assert german.render(opening, rare) == "Er meint, dass sie die Tür öffnet."


# every case of a noun phrase, singular then plural: German nom, acc, dat, gen; Russian nom, gen, dat, acc, ins, prep
GERMAN = {
    ("the", "small", "boy"): "der kleine Junge, den kleinen Jungen, dem kleinen Jungen, des kleinen Jungen, "
    "die kleinen Jungen, die kleinen Jungen, den kleinen Jungen, der kleinen Jungen",
    ("our", "old", "house"): "unser altes Haus, unser altes Haus, unserem alten Haus, unseres alten Hauses, "
    "unsere alten Häuser, unsere alten Häuser, unseren alten Häusern, unserer alten Häuser",
    ("this", "expensive", "bag"): "diese teure Tasche, diese teure Tasche, dieser teuren Tasche, dieser teuren Tasche, "
    "diese teuren Taschen, diese teuren Taschen, diesen teuren Taschen, dieser teuren Taschen",
    ("", "tired", "guest"): "müder Gast, müden Gast, müdem Gast, müden Gastes, "
    "müde Gäste, müde Gäste, müden Gästen, müder Gäste",
    ("no", "new", "garden"): "kein neuer Garten, keinen neuen Garten, keinem neuen Garten, keines neuen Gartens, "
    "keine neuen Gärten, keine neuen Gärten, keinen neuen Gärten, keiner neuen Gärten",
}
RUSSIAN = {
    ("my", "good", "child"): "мой хороший ребёнок, моего хорошего ребёнка, моему хорошему ребёнку, "
    "моего хорошего ребёнка, моим хорошим ребёнком, моём хорошем ребёнке, мои хорошие дети, моих хороших детей, "
    "моим хорошим детям, моих хороших детей, моими хорошими детьми, моих хороших детях",
    ("this", "blue", "door"): "эта синяя дверь, этой синей двери, этой синей двери, эту синюю дверь, "
    "этой синей дверью, этой синей двери, эти синие двери, этих синих дверей, этим синим дверям, "
    "эти синие двери, этими синими дверями, этих синих дверях",
    ("our", "big", "museum"): "наш большой музей, нашего большого музея, нашему большому музею, наш большой музей, "
    "нашим большим музеем, нашем большом музее, наши большие музеи, наших больших музеев, нашим большим музеям, "
    "наши большие музеи, нашими большими музеями, наших больших музеях",
    ("own", "short", "message"): "своё короткое сообщение, своего короткого сообщения, своему короткому сообщению, "
    "своё короткое сообщение, своим коротким сообщением, своём коротком сообщении, свои короткие сообщения, "
    "своих коротких сообщений, своим коротким сообщениям, свои короткие сообщения, своими короткими сообщениями, "
    "своих коротких сообщениях",
    ("", "old", "story"): "старая история, старой истории, старой истории, старую историю, старой историей, "
    "старой истории, старые истории, старых историй, старым историям, старые истории, старыми историями, "
    "старых историях",
    ("", "fresh", "bird"): "свежая птица, свежей птицы, свежей птице, свежую птицу, свежей птицей, свежей птице, "
    "свежие птицы, свежих птиц, свежим птицам, свежих птиц, свежими птицами, свежих птицах",
}


@pytest.mark.parametrize("parts", GERMAN)
def test_a_german_phrase_declines(parts: tuple[str, str, str]) -> None:
    determiner, adjective, noun = parts
    entry = de.NOUNS[noun][0], determiner, de.ADJECTIVES[adjective][0]
    forms = [de.phrase(*entry, case, plural) for plural in (False, True) for case in de.CASES]
    assert ", ".join(forms) == GERMAN[parts]


@pytest.mark.parametrize("parts", RUSSIAN)
def test_a_russian_phrase_declines(parts: tuple[str, str, str]) -> None:
    determiner, adjective, noun = parts
    entry = ru.NOUNS[noun][0], determiner, ru.ADJECTIVES[adjective][0]
    forms = [ru.phrase(*entry, case, plural) for plural in (False, True) for case in ru.CASES]
    assert ", ".join(forms) == RUSSIAN[parts]


@pytest.mark.parametrize("language", [de, ru])
def test_every_concept_has_words_and_every_noun_all_its_cases(language: object) -> None:
    assert list(language.NOUNS) == list(words.NOUNS)  # type: ignore[attr-defined]
    assert list(language.ADJECTIVES) == list(words.ADJECTIVES)  # type: ignore[attr-defined]
    for concept, entries in language.NOUNS.items():  # type: ignore[attr-defined]
        for plural in (False, True) if words.NOUNS[concept].plural else (False,):
            for case in language.CASES:  # type: ignore[attr-defined]
                assert all(language.phrase(entry, "my", "", case, plural) for entry in entries)  # type: ignore[attr-defined]


def test_every_verb_and_adverb_has_words_in_both_languages() -> None:
    times = {time for options in words.TIMES.values() for time in options} | {"today", "when?", "where?", "why?"}
    manners = {manner for verb in words.VERBS.values() for manner in verb.manners}
    adverbs = times | {*words.FREQUENCIES, *manners, *words.DEGREES, "already", "just"}
    assert adverbs == set(de.ADVERBS) == set(ru.ADVERBS)
    assert set(compose.FRAMES) == set(de.LINKS) == set(ru.LINKS)
    assert set(words.VERBS) <= set(de.VERBS)
    assert set(words.VERBS) - {"have"} <= set(ru.VERBS)


def test_the_lexicon_is_as_large_as_promised() -> None:
    assert len(words.NOUNS) >= 60 and len(words.ACTIONS) >= 30 and len(words.ADJECTIVES) >= 20


@pytest.mark.parametrize("target", ["de", "ru"])
def test_a_corpus_has_distinct_cased_sources_of_4_to_16_words_with_a_final_mark(target: str) -> None:
    pairs = toy.generate("en", target, 5000, seed=3)
    assert len({source for source, _ in pairs}) == len(pairs) == 5000
    for source, translation in pairs:
        assert 4 <= len(source.split()) <= 16 and len(translation.split()) <= 20
        for text in (source, translation):
            assert text[0].isupper() and text[-1] in ".?" and text == " ".join(text.split())
        assert source[-1] == translation[-1]


def test_german_subordinate_clauses_end_in_a_finite_verb() -> None:
    persons = ("ich", "er", "sie")
    verbs = [verb for entries in de.VERBS.values() for verb in entries]
    finite = {v.particle + form for v in verbs for p in persons for form in (v.present(p), v.preterite(p))}
    clauses = [text for _, text in toy.generate("en", "de", 4000, seed=4) if ", dass " in text]
    assert len(clauses) > 100
    assert all(text.rstrip(".").split()[-1] in finite for text in clauses)


@pytest.mark.parametrize("target", ["de", "ru"])
def test_one_source_has_several_translations(target: str) -> None:
    sources = Random(5)
    sentences = [compose.sentence(sources) for _ in range(300)]
    translations = [{toy.TARGETS[target](sentence, Random(seed)) for seed in range(8)} for sentence in sentences]
    assert sum(len(options) > 1 for options in translations) > 0.75 * len(sentences)


def test_the_same_seed_gives_the_same_pairs_in_another_process_and_another_seed_others() -> None:
    code = "from lskd_nmt.data import toy; print(hash('x')); print(toy.generate('en', 'ru', 300, 7))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", code]
    printed = [
        subprocess.check_output(command, env={**environment, "PYTHONHASHSEED": seed}, encoding="utf-8")
        for seed in ("1", "2")
    ]
    (hash_one, one), (hash_two, two) = (text.splitlines() for text in printed)
    assert hash_one != hash_two and one == two == str(toy.generate("en", "ru", 300, 7))
    assert toy.generate("en", "ru", 300, 8) != toy.generate("en", "ru", 300, 7)


def test_both_languages_translate_the_same_text() -> None:
    sources = [[source for source, _ in toy.generate("en", target, 200, 7)] for target in ("de", "ru")]
    assert sources[0] == sources[1]


def test_a_corpus_on_disk_has_its_splits_in_step_and_disjoint(tmp_path: Path) -> None:
    sizes = {"train": 50, "valid": 7, "test": 9}
    toy.write_corpus(tmp_path / "deep" / "raw", "en", "de", sizes, seed=1)
    lines = {path.name: path.read_text("utf-8").splitlines() for path in (tmp_path / "deep" / "raw").iterdir()}
    assert {name: len(text) for name, text in lines.items()} == {
        f"{split}.{language}": size for split, size in sizes.items() for language in ("en", "de")
    }
    pairs = [pair for split in toy.SPLITS for pair in zip(lines[f"{split}.en"], lines[f"{split}.de"], strict=True)]
    assert pairs == toy.generate("en", "de", 66, seed=1)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["raw"]


@pytest.mark.parametrize(
    ("source", "target", "pairs", "message"),
    [
        ("en", "fr", 5, "language pair en-fr is not in the toy grammar: use en-de or en-ru"),
        ("de", "en", 5, "language pair de-en is not in the toy grammar: use en-de or en-ru"),
        ("en", "de", 0, "0 pairs is not a positive number: ask for at least 1"),
        ("en", "ru", 300_001, "300001 pairs are more than the toy grammar has: ask for at most 300000"),
    ],
)
def test_an_impossible_corpus_is_refused(source: str, target: str, pairs: int, message: str) -> None:
    with pytest.raises(LskdError) as error:
        toy.generate(source, target, pairs, 1)
    assert str(error.value) == message


def test_a_corpus_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    sizes = {"train": 5, "valid": 1, "test": 1}
    with pytest.raises(LskdError, match=r"^valid size 0 is not positive: ask for at least 1 pair$"):
        toy.write_corpus(tmp_path / "raw", "en", "de", sizes | {"valid": 0}, 1)
    with pytest.raises(LskdError, match=r"^sizes for train: give train, valid, test$"):
        toy.write_corpus(tmp_path / "raw", "en", "de", {"train": 5}, 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(LskdError, match=r"file already exists and is not an empty folder: name a"):
        toy.write_corpus(tmp_path / "file", "en", "de", sizes, 1)
    with pytest.raises(LskdError, match=r"raw \(Not a directory\): choose a folder with room and rights$"):
        toy.write_corpus(tmp_path / "file" / "raw", "en", "de", sizes, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
