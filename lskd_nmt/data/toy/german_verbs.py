"""The German verbs and their conjugation."""

from dataclasses import dataclass

from lskd_nmt.data.toy.tables import rows

# concept | separable particle with a dash, infinitive, he-form, past he-form, participle | government (acc unless
# said, `sein` for the perfect with sein). A concept on several lines has synonyms, the commonest first.
VERBS = """
read | lesen liest las gelesen |
buy | kaufen kauft kaufte gekauft |
buy | erwerben erwirbt erwarb erworben |
see | sehen sieht sah gesehen |
open | auf- machen macht machte gemacht |
open | öffnen öffnet öffnete geöffnet |
help | helfen hilft half geholfen | dat
help | unterstützen unterstützt unterstützte unterstützt |
write | schreiben schreibt schrieb geschrieben |
write | verfassen verfasst verfasste verfasst |
find | finden findet fand gefunden |
eat | essen isst aß gegessen |
drink | trinken trinkt trank getrunken |
give | geben gibt gab gegeben |
invite | ein- laden lädt lud geladen |
work | arbeiten arbeitet arbeitete gearbeitet |
close | zu- machen macht machte gemacht |
close | schließen schließt schloss geschlossen |
wait for | warten wartet wartete gewartet | auf
look for | suchen sucht suchte gesucht |
call | an- rufen ruft rief gerufen |
go | gehen geht ging gegangen | sein
sleep | schlafen schläft schlief geschlafen |
sell | verkaufen verkauft verkaufte verkauft |
bring | bringen bringt brachte gebracht |
bring | mit- bringen bringt brachte gebracht |
cook | kochen kocht kochte gekocht |
cook | zu- bereiten bereitet bereitete bereitet |
show | zeigen zeigt zeigte gezeigt |
visit | besuchen besucht besuchte besucht |
visit/place | besuchen besucht besuchte besucht |
visit/place | besichtigen besichtigt besichtigte besichtigt |
repair | reparieren repariert reparierte repariert |
arrive | an- kommen kommt kam gekommen | sein
arrive | ein- treffen trifft traf getroffen | sein
play | spielen spielt spielte gespielt |
forget | vergessen vergisst vergaß vergessen |
love | lieben liebt liebte geliebt |
come back | zurück- kommen kommt kam gekommen | sein
come back | zurück- kehren kehrt kehrte gekehrt | sein
turn on | ein- schalten schaltet schaltete geschaltet |
turn on | an- machen macht machte gemacht |
turn off | aus- schalten schaltet schaltete geschaltet |
turn off | aus- machen macht machte gemacht |
send | schicken schickt schickte geschickt |
send | senden sendet sendete gesendet |
pick up | ab- holen holt holte geholt |
hear | hören hört hörte gehört |
lose | verlieren verliert verlor verloren |
thank | danken dankt dankte gedankt | dat
tell | erzählen erzählt erzählte erzählt |
get up | auf- stehen steht stand gestanden | sein
wash | waschen wäscht wusch gewaschen |
take along | mit- nehmen nimmt nahm genommen |
draw | zeichnen zeichnet zeichnete gezeichnet |
draw | malen malt malte gemalt |
photograph | fotografieren fotografiert fotografierte fotografiert |
describe | beschreiben beschreibt beschrieb beschrieben |
bake | backen backt backte gebacken |
understand | verstehen versteht verstand verstanden |
sing | singen singt sang gesungen |
laugh | lachen lacht lachte gelacht |
fall asleep | ein- schlafen schläft schlief geschlafen | sein
dance | tanzen tanzt tanzte getanzt |
say | sagen sagt sagte gesagt |
know | wissen weiß wusste gewusst |
think | glauben glaubt glaubte geglaubt |
think | denken denkt dachte gedacht |
think | meinen meint meinte gemeint |
hope | hoffen hofft hoffte gehofft |
have | haben hat hatte gehabt |
be | sein ist war gewesen | sein
can | können kann konnte gekonnt |
must | müssen muss musste gemusst |
want | wollen will wollte gewollt |
want | möchten möchte wollte gemocht |
will | werden wird wurde geworden | sein
"""
FIRST_PERSON = {"wissen": "weiß", "sein": "bin", "können": "kann", "müssen": "muss", "wollen": "will"}
PLURAL = {"sein": "sind"}


@dataclass(frozen=True)
class Verb:
    """A German verb; the forms leave out the separable particle."""

    particle: str
    infinitive: str
    third: str
    past: str
    participle: str
    government: str  # acc, dat or auf (with the accusative)
    with_sein: bool

    def present(self, person: str) -> str:
        """`person` is ich, er or sie (they, and we, whose form is the same)."""
        if person == "er":
            return self.third
        if person == "ich":
            return FIRST_PERSON.get(self.infinitive, self.infinitive[:-1])
        return PLURAL.get(self.infinitive, self.infinitive)

    def preterite(self, person: str) -> str:
        """`person` as in `present`."""
        if person != "sie":
            return self.past
        return self.past + ("n" if self.past.endswith("e") else "en")

    @property
    def full_infinitive(self) -> str:
        """With the particle: aufmachen."""
        return self.particle + self.infinitive

    @property
    def full_participle(self) -> str:
        """With the particle: aufgemacht."""
        return self.particle + self.participle


def _verb(forms: str, government: str) -> Verb:
    particle, _, rest = forms.rpartition("- ")
    infinitive, third, past, participle = rest.split()
    kinds = government.split()
    case = next((kind for kind in kinds if kind != "sein"), "acc")
    return Verb(particle, infinitive, third, past, participle, case, "sein" in kinds)


def _read() -> dict[str, tuple[Verb, ...]]:
    verbs: dict[str, tuple[Verb, ...]] = {}
    for concept, forms, government in rows(VERBS):
        verbs[concept] = (*verbs.get(concept, ()), _verb(forms, government))
    return verbs


LEXICON = _read()
