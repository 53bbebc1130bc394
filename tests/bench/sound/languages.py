"""Twelve languages read aloud by espeak-ng: which are told, and the words of each.

    python -P -m tests.bench.sound.languages MODEL_FOLDER

Beside faster-whisper with its defaults on the same model in 8 bits. Wrong words are counted in
characters where a language is written without spaces. What is translated is told in how many of the
words that the same text has in English. `tests/bench/sound/people.py` has people speak instead.
"""

# ruff: noqa: RUF001 - letters of other alphabets are meant
from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import jiwer
from faster_whisper import WhisperModel

from bench.words import spoken
from ipc.messages.spec import Spec
from tests.contract.driver import Driver, hear
from worker.audio import decode
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech

PACE = 150  # words a minute
# Of every day, and the first article of the Universal Declaration of Human Rights.
TEXTS = {
    "en": (
        "Yesterday my sister took the early train to the city. It was raining, so she stayed in "
        "the library and read the newspaper. In the evening we cooked soup together and talked "
        "about the summer.",
        "All human beings are born free and equal in dignity and rights. They are endowed with "
        "reason and conscience and should act towards one another in a spirit of brotherhood.",
    ),
    "de": (
        "Gestern ist meine Schwester mit dem frühen Zug in die Stadt gefahren. Es regnete, also "
        "blieb sie in der Bibliothek und las die Zeitung. Am Abend haben wir zusammen Suppe "
        "gekocht und über den Sommer gesprochen.",
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft "
        "und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    ),
    "fr": (
        "Hier, ma sœur a pris le premier train pour la ville. Il pleuvait, alors elle est restée "
        "à la bibliothèque et a lu le journal. Le soir, nous avons préparé une soupe ensemble et "
        "parlé de l'été.",
        "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués "
        "de raison et de conscience et doivent agir les uns envers les autres dans un esprit de "
        "fraternité.",
    ),
    "es": (
        "Ayer mi hermana tomó el primer tren a la ciudad. Llovía, así que se quedó en la "
        "biblioteca y leyó el periódico. Por la noche cocinamos una sopa juntos y hablamos del "
        "verano.",
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como "
        "están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    ),
    "it": (
        "Ieri mia sorella ha preso il primo treno per la città. Pioveva, quindi è rimasta in "
        "biblioteca e ha letto il giornale. La sera abbiamo cucinato una zuppa insieme e parlato "
        "dell'estate.",
        "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati "
        "di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di "
        "fratellanza.",
    ),
    "pt": (
        "Ontem a minha irmã apanhou o primeiro comboio para a cidade. Estava a chover, por isso "
        "ficou na biblioteca e leu o jornal. À noite cozinhámos uma sopa juntos e falámos do "
        "verão.",
        "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de "
        "razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    ),
    "pl": (
        "Wczoraj moja siostra pojechała wczesnym pociągiem do miasta. Padało, więc została w "
        "bibliotece i czytała gazetę. Wieczorem gotowaliśmy razem zupę i rozmawialiśmy o lecie.",
        "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni "
        "obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    ),
    "nl": (
        "Gisteren nam mijn zus de vroege trein naar de stad. Het regende, dus bleef ze in de "
        "bibliotheek en las de krant. 's Avonds kookten we samen soep en praatten we over de "
        "zomer.",
        "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd "
        "met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap "
        "te gedragen.",
    ),
    "ru": (
        "Вчера моя сестра поехала в город на раннем поезде. Шёл дождь, поэтому она осталась в "
        "библиотеке и читала газету. Вечером мы вместе варили суп и говорили о лете.",
        "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены "
        "разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    ),
    "tr": (
        "Dün kız kardeşim erken trenle şehre gitti. Yağmur yağıyordu, bu yüzden kütüphanede kaldı "
        "ve gazete okudu. Akşam birlikte çorba pişirdik ve yaz hakkında konuştuk.",
        "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana "
        "sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    ),
    "id": (
        "Kemarin adik saya naik kereta pagi ke kota. Hujan turun, jadi dia tinggal di "
        "perpustakaan dan membaca koran. Malam harinya kami memasak sup bersama dan berbicara "
        "tentang musim panas.",
        "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Mereka "
        "dikaruniai akal dan hati nurani dan hendaknya bergaul satu sama lain dalam semangat "
        "persaudaraan.",
    ),
    "sv": (
        "Igår tog min syster det tidiga tåget till staden. Det regnade, så hon stannade på "
        "biblioteket och läste tidningen. På kvällen kokade vi soppa tillsammans och pratade om "
        "sommaren.",
        "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med "
        "förnuft och samvete och bör handla gentemot varandra i en anda av broderskap.",
    ),
}  # fmt: skip


class Clip(NamedTuple):
    """``english`` is what its ``text`` says, empty where nobody wrote that down."""

    language: str
    name: str
    sound: bytes
    text: str
    english: str


class Told(NamedTuple):
    """``named`` is heard in the language that was told, ``given`` with the right one named."""

    language: str
    named: str
    given: str
    english: str


def read_aloud() -> Iterator[Clip]:
    for language, texts in TEXTS.items():
        for number, text in enumerate(texts, 1):
            english = TEXTS["en"][number - 1]
            yield Clip(language, f"text {number}", aloud(text, language), text, english)


def aloud(text: str, language: str) -> bytes:
    """A WAV file."""
    asked = ["espeak-ng", "-v", language, "-s", str(PACE), "--stdout", text]
    return subprocess.run(asked, check=True, capture_output=True).stdout


def by_us(driver: Driver, clip: Clip) -> Told:
    found = hear(driver, clip.sound)
    given = hear(driver, clip.sound, language=clip.language)
    english = hear(driver, clip.sound, language=clip.language, translate=True)
    return Told(found.language, found.text, given.text, english.text)


def by_faster_whisper(model: WhisperModel, clip: Clip) -> Told:
    samples = decode.decode(clip.sound)
    segments, info = model.transcribe(samples)
    named = "".join(segment.text for segment in segments)
    given, english = (
        "".join(
            segment.text
            for segment in model.transcribe(samples, language=clip.language, task=task)[0]
        )
        for task in ("transcribe", "translate")
    )
    return Told(info.language, named, given, english)


def row(clip: Clip, told: Told) -> Iterator[str]:
    said = " ".join(spoken(clip.text, clip.language))
    yield told.language
    for heard in (told.named, told.given):
        yield f"{100 * jiwer.wer(said, ' '.join(spoken(heard, clip.language))):.0f}"
    english = set(spoken(clip.english))
    yield f"{100 * len(english & set(spoken(told.english))) / len(english):.0f}" if english else ""


def compare(folder: Path, clips: Iterable[Clip], show_words: bool = False) -> None:
    """Prints a row of a table for each clip, and what was heard if that is asked for."""
    engine = WhisperSpeech()
    spec = Spec(name="languages", task="speech", engine="ctranslate2", path=str(folder))
    engine.load(spec, lambda _: None)
    driver = Driver(engine)
    peer = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    print(
        "| said | clip | told | wrong words | language named | translated"
        " | the same by faster-whisper |"
    )
    for clip in clips:
        own, other = by_us(driver, clip), by_faster_whisper(peer, clip)
        cells = [clip.language, clip.name, *row(clip, own), *row(clip, other)]
        print("|", " | ".join(cells), "|", flush=True)
        if show_words:
            print(*own, sep="\n", flush=True)


def asked(description: str) -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("model", type=Path)
    arguments.add_argument("--words", action="store_true", help="print what was heard as well")
    return arguments.parse_args()


def main() -> None:
    given = asked("twelve languages by espeak-ng")
    compare(given.model, read_aloud(), given.words)


if __name__ == "__main__":
    main()
