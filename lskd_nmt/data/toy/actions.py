"""The English verbs with the company they keep, and the adverbs."""

from dataclasses import dataclass

from lskd_nmt.data.toy.meaning import Tense
from lskd_nmt.data.toy.tables import rows

# Traits. Adjuncts that fit: in (a place), near (a building), with (a person), for (a person), to (a goal, always),
# without (something carried). recipient: takes a dative. animal: animals do it too. punctual: never progressive.
# state: a simple present takes no adverb (lasting: no tense does). unwilled: takes no modal. activity: has no end
# point with a bare object. A slash tells two meanings of one word apart.
# verb | past, participle, -ing form | tags of the object | traits | manners
VERBS = """
read | read read reading | read | activity in | quickly slowly gladly
buy | bought bought buying | goods food | for in |
see | saw seen seeing | person animal thing place | punctual state unwilled in near |
open | opened opened opening | opened | | carefully quietly quickly slowly
help | helped helped helping | person | in | gladly
write | wrote written writing | written | activity in for | quickly slowly
find | found found finding | goods text animal | punctual unwilled in near | quickly
eat | ate eaten eating | food | activity animal in with | quickly slowly gladly
drink | drank drunk drinking | drink | activity in with | quickly slowly gladly
give | gave given giving | given | recipient | gladly
invite | invited invited inviting | person | | gladly
work | worked worked working | - | in with | slowly quickly gladly
close | closed closed closing | closed | | carefully quietly quickly slowly
wait for | waited waited waiting | person | in near |
look for | looked looked looking | goods text animal person | in near |
call | called called calling | person | |
go | went gone going | - | to with | gladly slowly
sleep | slept slept sleeping | - | animal in |
sell | sold sold selling | goods food | in | quickly
bring | brought brought bringing | given food carried | recipient |
cook | cooked cooked cooking | cooked | activity for in with | quickly gladly
show | showed shown showing | given animal goods | recipient | gladly
visit | visited visited visiting | person | | gladly
visit/place | visited visited visiting | visited | with | gladly
repair | repaired repaired repairing | repaired | in | carefully quickly
arrive | arrived arrived arriving | - | punctual with without |
play | played played playing | - | animal in with near | quietly loudly gladly
forget | forgot forgotten forgetting | carried text | punctual unwilled in |
love | loved loved loving | person animal drink food | state unwilled lasting |
come back | came come coming | - | punctual animal with without | quickly
turn on | turned turned turning | device | | quickly
turn off | turned turned turning | device | | quickly
send | sent sent sending | given | recipient | gladly
pick up | picked picked picking | person | near |
hear | heard heard hearing | heard person animal | punctual state unwilled in |
lose | lost lost losing | carried animal | punctual unwilled in near |
thank | thanked thanked thanking | person | |
tell | told told telling | told | recipient | quietly slowly gladly
get up | got got getting | - | punctual | quickly slowly
wash | washed washed washing | washed | activity in | carefully quickly
take along | took taken taking | carried | punctual | gladly
draw | drew drawn drawing | drawn animal person | activity for in | quickly slowly
photograph | photographed photographed photographing | place animal person building | with |
describe | described described describing | described person | | gladly
bake | baked baked baking | baked | activity for in with | gladly
understand | understood understood understanding | text person | punctual state unwilled | quickly
sing | sang sung singing | sung | activity in with | loudly quietly gladly
laugh | laughed laughed laughing | - | in with | loudly quietly
fall asleep | fell fallen falling | - | punctual animal unwilled in | quickly
dance | danced danced dancing | - | in with near | slowly gladly
say | said said saying | that | state |
know | knew known knowing | that | state |
think | thought thought thinking | that | state |
hope | hoped hoped hoping | that | state |
be | | is | state |
have | had had having | has | state |
"""

EVENT_TIMES = ("yesterday", "last week", "this morning", "on Monday", "yesterday evening")
COMING_TIMES = ("tomorrow", "soon", "next week", "this evening", "on Monday")
HABIT_TIMES = ("every day", "every morning", "every evening", "in the summer", "on weekends")
FREQUENCIES = ("often", "never", "always", "sometimes", "usually", "rarely")
TIMES = {
    Tense.PRESENT: HABIT_TIMES,
    Tense.PROGRESSIVE: ("now",),
    Tense.PAST: EVENT_TIMES,
    Tense.PAST_HABIT: HABIT_TIMES,
    Tense.PAST_PROGRESSIVE: ("yesterday", "this morning", "yesterday evening"),
    Tense.FUTURE: COMING_TIMES,
    Tense.FUTURE_HABIT: HABIT_TIMES,
    Tense.CONDITION: ("tomorrow", "next week", "on Monday"),
}
MANNERS = ("quickly", "slowly", "carefully", "gladly", "loudly", "quietly")
DEGREES = ("very", "too", "quite")


@dataclass(frozen=True)
class Verb:
    """An English verb; `word` and `tail` are what is inflected and what follows it ("pick", "up")."""

    word: str
    tail: tuple[str, ...]
    past: str
    participle: str
    progressive: str
    object_tags: tuple[str, ...]
    traits: frozenset[str]
    manners: tuple[str, ...]

    @property
    def third_person(self) -> str:
        """The simple present with `he`."""
        irregular = {"have": "has", "go": "goes", "wash": "washes"}
        return irregular.get(self.word, self.word + "s")


def _verb(name: str, forms: str, object_tags: str, traits: str, manners: str) -> Verb:
    word, *tail = name.split("/", maxsplit=1)[0].split()
    past, participle, progressive = forms.split() or ("was", "been", "being")
    tags = () if object_tags == "-" else tuple(object_tags.split())
    return Verb(
        word, tuple(tail), past, participle, progressive, tags, frozenset(traits.split()), tuple(manners.split())
    )


LEXICON = {row[0]: _verb(*row) for row in rows(VERBS)}
SPEECH = tuple(name for name, verb in LEXICON.items() if verb.object_tags == ("that",))
ACTIONS = tuple(name for name in LEXICON if name not in (*SPEECH, "be", "have"))
