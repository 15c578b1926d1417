"""The English nouns and adjectives, and which of them go together."""

from dataclasses import dataclass

from lskd_nmt.data.toy.tables import Weighted, rows

# singular | plural (- for what is not counted) | tags that verbs and adjectives ask for
NOUNS = """
teacher | teachers | person adult
friend | friends | person adult
child | children | person
woman | women | person adult unowned
man | men | person adult unowned
student | students | person adult
brother | brothers | person adult
neighbour | neighbours | person adult
doctor | doctors | person adult
sister | sisters | person adult
girl | girls | person unowned
boy | boys | person unowned
guest | guests | person adult
colleague | colleagues | person adult
chef | chefs | person adult unowned
writer | writers | person adult unowned
driver | drivers | person adult
tourist | tourists | person adult unowned
dog | dogs | animal washed
cat | cats | animal
horse | horses | animal washed
bird | birds | animal heard
cow | cows | animal
book | books | text read written given described carried goods
letter | letters | text read written given opened
newspaper | newspapers | text read given goods
story | stories | text read written told heard
message | messages | text read written given heard
report | reports | text read written given described
poem | poems | text read written heard described
song | songs | text sung heard
cake | cakes | food sweet baked piece
apple | apples | food sweet washed piece
soup | soups | food warm cooked
egg | eggs | food cooked piece
sausage | sausages | food cooked piece
bread | - | food baked
cheese | - | food
coffee | - | drink warm
tea | - | drink warm sweet
water | - | drink
milk | - | drink warm
juice | - | drink sweet
car | cars | thing coloured repaired washed goods
bicycle | bicycles | thing coloured repaired washed goods
window | windows | thing opened closed
door | doors | thing coloured opened repaired closed
box | boxes | thing coloured heavy hollow opened given goods closed
suitcase | suitcases | thing coloured heavy hollow opened carried goods closed
bag | bags | thing coloured heavy hollow opened carried given goods closed
chair | chairs | thing coloured heavy repaired goods
table | tables | thing coloured heavy repaired goods
lamp | lamps | thing coloured device repaired goods
picture | pictures | thing drawn given described goods
phone | phones | thing device repaired carried goods
computer | computers | thing device repaired goods
key | keys | thing carried given goods
cup | cups | thing coloured hollow given goods
bottle | bottles | thing coloured hollow opened goods closed
gift | gifts | thing given opened carried goods
coat | coats | thing coloured carried goods
hat | hats | thing coloured carried given goods
camera | cameras | thing device repaired carried goods
city | cities | place described unowned visited
house | houses | place building drawn described
garden | gardens | place described visited
school | schools | place building visited
park | parks | place unowned visited
station | stations | place building unowned
kitchen | kitchens | place
restaurant | restaurants | place building
village | villages | place described unowned visited
shop | shops | place building
office | offices | place
library | libraries | place building visited
street | streets | place unowned
theatre | theatres | place building unowned visited
hotel | hotels | place building unowned
museum | museums | place building unowned visited
"""

# adjective | what it is said of before a noun | what it is said of after `be`
ADJECTIVES = """
new | text thing place |
old | adult animal text thing place | animal thing place
small | animal piece thing place | animal piece thing place
big | animal piece thing place | animal piece thing place
good | person text food drink thing place | text food drink
beautiful | animal thing place | animal thing place
expensive | food drink thing | food drink thing
young | adult animal | adult
interesting | text | text
red | coloured |
clever | person animal | person animal
friendly | person | person
cheap | food thing | food thing
famous | adult | adult
heavy | heavy | heavy
long | text | text
funny | text | text person
black | coloured animal |
fresh | food drink | food
cold | drink warm | drink warm
hot | warm | warm
blue | coloured |
tired | person animal |
quiet | place | place
short | text | text
modern | place device | place device
white | coloured animal |
important | text | text
hungry | person animal |
empty | hollow | hollow
sweet | sweet | sweet
green | coloured |
curious | person animal | person animal
"""


@dataclass(frozen=True)
class Noun:
    """An English noun; `plural` is empty where it is not counted."""

    singular: str
    plural: str
    tags: tuple[str, ...]


def _weighted(column: int) -> dict[str, Weighted[str]]:
    """For every noun the adjectives whose tags, in that column of the table, it meets."""
    chosen = {
        noun.singular: [row[0] for row in rows(ADJECTIVES) if set(row[column].split()) & set(noun.tags)]
        for noun in LEXICON.values()
    }
    return {noun: Weighted(adjectives) for noun, adjectives in chosen.items() if adjectives}


def nouns_with(*tags: str) -> list[str]:
    """The nouns that carry one of the tags, the commonest first."""
    return [noun.singular for noun in LEXICON.values() if set(tags) & set(noun.tags)]


LEXICON = {
    singular: Noun(singular, "" if plural == "-" else plural, tuple(tags.split()))
    for singular, plural, tags in rows(NOUNS)
}
ADJECTIVE_NAMES = tuple(row[0] for row in rows(ADJECTIVES))
ATTRIBUTES = _weighted(1)
PREDICATES = _weighted(2)
