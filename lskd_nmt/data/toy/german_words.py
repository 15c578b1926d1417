"""The German words: one line per English concept, synonyms behind bars, the commonest first."""

# concept | gender, nominative, genitive, plural (- for none). A masculine genitive in -n marks the weak nouns.
NOUNS = """
teacher | m Lehrer Lehrers Lehrer | f Lehrerin Lehrerin Lehrerinnen
friend | m Freund Freundes Freunde | f Freundin Freundin Freundinnen
child | n Kind Kindes Kinder
woman | f Frau Frau Frauen
man | m Mann Mannes Männer
student | m Student Studenten Studenten | f Studentin Studentin Studentinnen
brother | m Bruder Bruders Brüder
neighbour | m Nachbar Nachbarn Nachbarn | f Nachbarin Nachbarin Nachbarinnen
doctor | m Arzt Arztes Ärzte | f Ärztin Ärztin Ärztinnen
sister | f Schwester Schwester Schwestern
girl | n Mädchen Mädchens Mädchen
boy | m Junge Jungen Jungen
guest | m Gast Gastes Gäste
colleague | m Kollege Kollegen Kollegen | f Kollegin Kollegin Kolleginnen
chef | m Koch Kochs Köche
writer | m Schriftsteller Schriftstellers Schriftsteller | m Autor Autors Autoren
driver | m Fahrer Fahrers Fahrer
tourist | m Tourist Touristen Touristen
dog | m Hund Hundes Hunde
cat | f Katze Katze Katzen | m Kater Katers Kater
horse | n Pferd Pferdes Pferde
bird | m Vogel Vogels Vögel
cow | f Kuh Kuh Kühe
book | n Buch Buches Bücher
letter | m Brief Briefes Briefe
newspaper | f Zeitung Zeitung Zeitungen
story | f Geschichte Geschichte Geschichten
message | f Nachricht Nachricht Nachrichten | f Mitteilung Mitteilung Mitteilungen
report | m Bericht Berichts Berichte
poem | n Gedicht Gedichts Gedichte
song | n Lied Liedes Lieder
cake | m Kuchen Kuchens Kuchen | f Torte Torte Torten
apple | m Apfel Apfels Äpfel
soup | f Suppe Suppe Suppen
egg | n Ei Eis Eier
sausage | f Wurst Wurst Würste
bread | n Brot Brotes -
cheese | m Käse Käses -
coffee | m Kaffee Kaffees -
tea | m Tee Tees -
water | n Wasser Wassers -
milk | f Milch Milch -
juice | m Saft Saftes -
car | n Auto Autos Autos | m Wagen Wagens Wagen
bicycle | n Fahrrad Fahrrads Fahrräder | n Rad Rades Räder
window | n Fenster Fensters Fenster
door | f Tür Tür Türen
box | f Schachtel Schachtel Schachteln | f Kiste Kiste Kisten | m Karton Kartons Kartons
suitcase | m Koffer Koffers Koffer
bag | f Tasche Tasche Taschen
chair | m Stuhl Stuhls Stühle
table | m Tisch Tisches Tische
lamp | f Lampe Lampe Lampen
picture | n Bild Bildes Bilder | n Gemälde Gemäldes Gemälde
phone | n Telefon Telefons Telefone | n Handy Handys Handys
computer | m Computer Computers Computer | m Rechner Rechners Rechner
key | m Schlüssel Schlüssels Schlüssel
cup | f Tasse Tasse Tassen
bottle | f Flasche Flasche Flaschen
gift | n Geschenk Geschenks Geschenke
coat | m Mantel Mantels Mäntel
hat | m Hut Hutes Hüte
camera | f Kamera Kamera Kameras | m Fotoapparat Fotoapparats Fotoapparate
city | f Stadt Stadt Städte
house | n Haus Hauses Häuser
garden | m Garten Gartens Gärten
school | f Schule Schule Schulen
park | m Park Parks Parks
station | m Bahnhof Bahnhofs Bahnhöfe
kitchen | f Küche Küche Küchen
restaurant | n Restaurant Restaurants Restaurants | n Lokal Lokals Lokale
village | n Dorf Dorfes Dörfer
shop | m Laden Ladens Läden | n Geschäft Geschäfts Geschäfte
office | n Büro Büros Büros
library | f Bibliothek Bibliothek Bibliotheken | f Bücherei Bücherei Büchereien
street | f Straße Straße Straßen
theatre | n Theater Theaters Theater
hotel | n Hotel Hotels Hotels
museum | n Museum Museums Museen
"""

# concept | form after `ist`; a second form, behind a slash, is the stem that endings are put to
ADJECTIVES = """
new | neu
old | alt
small | klein
big | groß
good | gut
beautiful | schön | hübsch
expensive | teuer/teur
young | jung
interesting | interessant | spannend
red | rot
clever | klug | schlau
friendly | freundlich | nett
cheap | billig | günstig
famous | berühmt | bekannt
heavy | schwer
long | lang
funny | lustig | witzig
black | schwarz
fresh | frisch
cold | kalt
hot | heiß
blue | blau
tired | müde/müd
quiet | ruhig | still
short | kurz
modern | modern
white | weiß
important | wichtig | bedeutend
hungry | hungrig
empty | leer
sweet | süß
green | grün
curious | neugierig
"""

ADVERBS = """
often | oft | häufig
never | nie | niemals
always | immer | stets
sometimes | manchmal | ab und zu
usually | normalerweise | gewöhnlich | meistens
rarely | selten
already | schon | bereits
just | gerade | eben
quickly | schnell | rasch
slowly | langsam
carefully | vorsichtig | behutsam
gladly | gern | mit Freude
loudly | laut
quietly | leise
very | sehr
too | zu
quite | ziemlich | recht
yesterday | gestern
last week | letzte Woche | vergangene Woche | vorige Woche
this morning | heute Morgen | heute früh
on Monday | am Montag
yesterday evening | gestern Abend
tomorrow | morgen
soon | bald | demnächst
next week | nächste Woche | kommende Woche
this evening | heute Abend
today | heute
every day | jeden Tag | täglich
every morning | jeden Morgen
every evening | jeden Abend
in the summer | im Sommer
on weekends | am Wochenende | an Wochenenden
now | gerade | jetzt
when? | wann
where? | wo
why? | warum | weshalb
"""

LINKS = """
that | dass
because | weil | da
if | wenn | falls
when | als
although | obwohl
while | während
"""
