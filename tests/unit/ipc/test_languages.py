"""How clients name a language, and what Whisper calls it."""

from __future__ import annotations

import pytest

from ipc.facts.languages import NAMES, code_of, name_of

# By hand, from ISO 639 and BCP 47.
SPOKEN_OTHERWISE = {
    # ISO 639-1 says otherwise than Whisper, now or before
    "nb": "no", "jv": "jw", "iw": "he", "in": "id", "ji": "yi", "mo": "ro",
    # a language, its group, and those that stand for it
    "cmn": "zh", "yue": "yue", "zh-yue": "yue", "zh-cmn": "zh", "fil": "tl",
    "arb": "ar", "swh": "sw",
    # places, scripts, cases, marks
    "nb-NO": "no", "NB_no": "no", "en-GB": "en", "EN": "en", " de ": "de", "pt-BR": "pt",
    "zh-CN": "zh", "zh-TW": "zh", "zh-Hant-HK": "zh", "zh_Hans": "zh", "sr-Latn": "sr",
    "en_US.UTF-8": "en", "yue-HK": "yue", "in-ID": "id", "es-419": "es",
    # three letters, of both kinds
    "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "eng": "en", "zho": "zh", "chi": "zh",
    "nob": "no", "nno": "nn", "nor": "no", "jav": "jw", "ind": "id", "heb": "he", "fas": "fa",
    "haw": "haw", "tgl": "tl", "nld": "nl", "mya": "my",
    # names
    "English": "en", "norwegian": "no", "Norwegian Bokmål": "no", "NYNORSK": "nn", "Mandarin": "zh",
    "haitian creole": "ht", "haitian_creole": "ht", "Castilian": "es", "Filipino": "tl",
    "farsi": "fa", "javanese": "jw", "burmese": "my", "cantonese": "yue",
    # Whisper's own token
    "<|no|>": "no",
}  # fmt: skip


@pytest.mark.parametrize(("given", "code"), SPOKEN_OTHERWISE.items())
def test_a_language_is_known_by_all_its_names(given: str, code: str) -> None:
    assert code_of(given) == code


@pytest.mark.parametrize("code", NAMES)
def test_every_language_is_known_by_its_code_and_its_name(code: str) -> None:
    assert code_of(code) == code_of(code.upper()) == code_of(f"{code}-XX") == code
    assert code_of(name_of(code)) == code_of(name_of(code).title()) == code


@pytest.mark.parametrize("given", ["", "-", "xx", "klingon", "tlh", "e", "english-speaking", "NO!"])
def test_others_are_not(given: str) -> None:
    assert code_of(given) is None
