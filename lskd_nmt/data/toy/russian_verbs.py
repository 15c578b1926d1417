"""The Russian verbs in both aspects and their conjugation, and the words that do not inflect."""

from dataclasses import dataclass

from lskd_nmt.data.toy.tables import rows

# concept | imperfective | perfective (- for none) | government: acc unless said; words that follow the verb.
# An aspect is its infinitive, then I-, he-, (we-,) they-form of the present, then after a slash the masculine and
# feminine past; what is left out follows читать or рисовать. Synonyms on lines of their own, the commonest first.
VERBS = """
read | читать | прочитать |
buy | покупать | купить куплю купит купят |
buy | приобретать | приобрести приобрету приобретёт приобретут / приобрёл приобрела |
see | видеть вижу видит видят | увидеть увижу увидит увидят |
open | открывать | открыть открою откроет откроют |
help | помогать | помочь помогу поможет помогут / помог помогла | dat
write | писать пишу пишет пишут | написать напишу напишет напишут |
find | находить нахожу находит находят | найти найду найдёт найдут / нашёл нашла |
eat | есть ем ест едим едят / ел ела | съесть съем съест съедим съедят / съел съела |
drink | пить пью пьёт пьют | выпить выпью выпьет выпьют |
give | давать даю даёт дают | дать дам даст дадим дадут |
invite | приглашать | пригласить приглашу пригласит пригласят |
invite | звать зову зовёт зовут | позвать позову позовёт позовут |
work | работать | - |
close | закрывать | закрыть закрою закроет закроют |
wait for | ждать жду ждёт ждут | - |
look for | искать ищу ищет ищут | - |
call | звонить звоню звонит звонят | позвонить позвоню позвонит позвонят | dat
go | ходить хожу ходит ходят | пойти пойду пойдёт пойдут / пошёл пошла |
go/now | идти иду идёт идут / шёл шла | - |
sleep | спать сплю спит спят | - |
sell | продавать продаю продаёт продают | продать продам продаст продадим продадут |
bring | приносить приношу приносит приносят | принести принесу принесёт принесут / принёс принесла |
cook | варить варю варит варят | сварить сварю сварит сварят |
cook | готовить готовлю готовит готовят | приготовить приготовлю приготовит приготовят |
show | показывать | показать покажу покажет покажут |
visit | навещать | навестить навещу навестит навестят |
visit/place | посещать | посетить посещу посетит посетят |
repair | чинить чиню чинит чинят | починить починю починит починят |
repair | ремонтировать | отремонтировать |
arrive | приезжать | приехать приеду приедет приедут |
arrive | прибывать | прибыть прибуду прибудет прибудут |
play | играть | - |
forget | забывать | забыть забуду забудет забудут |
love | любить люблю любит любят | - |
come back | возвращаться | вернуться вернусь вернётся вернутся |
turn on | включать | включить включу включит включат |
turn off | выключать | выключить выключу выключит выключат |
send | отправлять | отправить отправлю отправит отправят |
send | посылать | послать пошлю пошлёт пошлют |
pick up | забирать | забрать заберу заберёт заберут |
hear | слышать слышу слышит слышат | услышать услышу услышит услышат |
lose | терять | потерять |
thank | благодарить благодарю благодарит благодарят | поблагодарить поблагодарю поблагодарит поблагодарят |
tell | рассказывать | рассказать расскажу расскажет расскажут |
get up | вставать встаю встаёт встают | встать встану встанет встанут |
wash | мыть мою моет моют | вымыть вымою вымоет вымоют |
wash | мыть мою моет моют | помыть помою помоет помоют |
take along | брать беру берёт берут | взять возьму возьмёт возьмут | с собой
draw | рисовать | нарисовать |
photograph | фотографировать | сфотографировать |
describe | описывать | описать опишу опишет опишут |
bake | печь пеку печёт пекут / пёк пекла | испечь испеку испечёт испекут / испёк испекла |
understand | понимать | понять пойму поймёт поймут |
sing | петь пою поёт поют | спеть спою споёт споют |
laugh | смеяться смеюсь смеётся смеются | - |
fall asleep | засыпать | заснуть засну заснёт заснут |
fall asleep | засыпать | уснуть усну уснёт уснут |
dance | танцевать танцую танцует танцуют | - |
say | говорить говорю говорит говорят | - |
know | знать | - |
think | думать | - |
think | считать | - |
hope | надеяться надеюсь надеется надеются | - |
be | быть буду будет будут | - |
can | мочь могу может могут / мог могла | - |
want | хотеть хочу хочет хотим хотят | - |
"""


@dataclass(frozen=True)
class Aspect:
    """The forms of one aspect. `present` (the future, if perfective) is by I, he, we, they; `past` by m, f, n, pl."""

    infinitive: str
    present: dict[str, str]
    past: dict[str, str]


@dataclass(frozen=True)
class Verb:
    """A pair of aspects; verbs of pure duration have no perfective."""

    imperfective: Aspect
    perfective: Aspect | None
    government: str  # acc or dat
    tail: str  # follows the verb unchanged


def _bare(form: str) -> tuple[str, bool]:
    """The form without -ся or -сь, and whether it had one."""
    return (form[:-2], True) if form.endswith(("ся", "сь")) else (form, False)


def _reflexive(form: str, reflexive: bool) -> str:
    return form + ("сь" if form[-1] in "аеёиоуыэюя" else "ся") if reflexive else form


def _aspect(text: str) -> Aspect:
    present, _, past = text.partition(" / ")
    infinitive, *forms = present.split()
    bare, reflexive = _bare(infinitive)
    stem = bare.removesuffix("ть")
    if not forms:
        base = stem.removesuffix("ова") + "у" if stem.endswith("ова") else stem
        forms = [_reflexive(base + ending, reflexive) for ending in ("ю", "ет", "ют")]
    if len(forms) == 3:
        third = _bare(forms[1])[0]
        forms.insert(2, _reflexive(third[:-1] + "м", reflexive))
    masculine, feminine = past.split() or (stem + "л", stem + "ла")
    pasts = (masculine, feminine, feminine[:-1] + "о", feminine[:-1] + "и")
    return Aspect(
        infinitive,
        dict(zip(("I", "he", "we", "they"), forms, strict=True)),
        dict(zip(("m", "f", "n", "pl"), (_reflexive(form, reflexive) for form in pasts), strict=True)),
    )


def _read() -> dict[str, tuple[Verb, ...]]:
    verbs: dict[str, tuple[Verb, ...]] = {}
    for concept, imperfective, perfective, rest in rows(VERBS):
        pair = _aspect(imperfective), None if perfective == "-" else _aspect(perfective)
        verb = Verb(*pair, "dat" if rest == "dat" else "acc", "" if rest == "dat" else rest)
        verbs[concept] = (*verbs.get(concept, ()), verb)
    return verbs


LEXICON = _read()

ADVERBS = """
often | часто
never | никогда
always | всегда
sometimes | иногда | порой
usually | обычно
rarely | редко
already | уже
just | только что
quickly | быстро
slowly | медленно
carefully | осторожно | аккуратно
gladly | охотно | с удовольствием
loudly | громко
quietly | тихо
very | очень
too | слишком
quite | довольно
yesterday | вчера
last week | на прошлой неделе
this morning | сегодня утром
on Monday | в понедельник
yesterday evening | вчера вечером
today | сегодня
tomorrow | завтра
soon | скоро | вскоре
next week | на следующей неделе | на будущей неделе
this evening | сегодня вечером
every day | каждый день | ежедневно
every morning | каждое утро | по утрам
every evening | каждый вечер | по вечерам
in the summer | летом
on weekends | по выходным
now | сейчас
when? | когда
where? | где
why? | почему
"""
LINKS = """
that | что
because | потому что | так как
if | если
when | когда
although | хотя
while | пока | в то время как
"""
