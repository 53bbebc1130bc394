"""The languages that Whisper knows, by ISO 639 code, under the English names that the API prints.

The lists are those in OpenAI's whisper/tokenizer.py; a model may lack the newest entries.
"""

from __future__ import annotations

_TABLE = """
    af=afrikaans am=amharic ar=arabic as=assamese az=azerbaijani ba=bashkir be=belarusian
    bg=bulgarian bn=bengali bo=tibetan br=breton bs=bosnian ca=catalan cs=czech cy=welsh
    da=danish de=german el=greek en=english es=spanish et=estonian eu=basque fa=persian
    fi=finnish fo=faroese fr=french gl=galician gu=gujarati ha=hausa haw=hawaiian he=hebrew
    hi=hindi hr=croatian ht=haitian_creole hu=hungarian hy=armenian id=indonesian is=icelandic
    it=italian ja=japanese jw=javanese ka=georgian kk=kazakh km=khmer kn=kannada ko=korean
    la=latin lb=luxembourgish ln=lingala lo=lao lt=lithuanian lv=latvian mg=malagasy mi=maori
    mk=macedonian ml=malayalam mn=mongolian mr=marathi ms=malay mt=maltese my=myanmar ne=nepali
    nl=dutch nn=nynorsk no=norwegian oc=occitan pa=punjabi pl=polish ps=pashto pt=portuguese
    ro=romanian ru=russian sa=sanskrit sd=sindhi si=sinhala sk=slovak sl=slovenian sn=shona
    so=somali sq=albanian sr=serbian su=sundanese sv=swedish sw=swahili ta=tamil te=telugu
    tg=tajik th=thai tk=turkmen tl=tagalog tr=turkish tt=tatar uk=ukrainian ur=urdu uz=uzbek
    vi=vietnamese yi=yiddish yo=yoruba yue=cantonese zh=chinese
"""

NAMES: dict[str, str] = {
    code: name.replace("_", " ") for code, name in (pair.split("=") for pair in _TABLE.split())
}
_ALIASES = """
    burmese=my castilian=es flemish=nl haitian=ht letzeburgesch=lb mandarin=zh moldavian=ro
    moldovan=ro panjabi=pa pushto=ps sinhalese=si valencian=ca
"""
_CODES = {name: code for code, name in NAMES.items()}
_CODES.update((name, code) for name, _, code in (pair.partition("=") for pair in _ALIASES.split()))


def code_of(language: str) -> str | None:
    """The code of a language given as ``en``, ``en-GB``, ``EN`` or ``English``; None if unknown."""
    wanted = language.strip().lower()
    primary = wanted.replace("_", "-").partition("-")[0]
    return primary if primary in NAMES else _CODES.get(wanted)


def name_of(code: str) -> str:
    """The English name for ``code``, or ``code`` itself where there is none."""
    return NAMES.get(code, code)
