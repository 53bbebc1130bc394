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

# Other names, those of whisper/tokenizer.py first.
_NAMES_TOO = """
    burmese=my castilian=es flemish=nl haitian=ht letzeburgesch=lb mandarin=zh moldavian=ro
    moldovan=ro panjabi=pa pushto=ps sinhalese=si valencian=ca
    bangla=bn bokmal=no bokmål=no farsi=fa filipino=tl modern_greek=el norwegian_bokmal=no
    norwegian_bokmål=no norwegian_nynorsk=nn slovene=sl
"""

# Other codes: what ISO 639-1 says now or said before, where Whisper says it otherwise, and codes
# of three letters of ISO 639-2 (of both kinds) and 639-3.
_CODES_TOO = """
    nb=no jv=jw iw=he in=id ji=yi fil=tl mo=ro sh=sr cmn=zh arb=ar pes=fa prs=fa swh=sw zsm=ms
    ekk=et lvs=lv als=sq khk=mn npi=ne pbt=ps uzn=uz ydd=yi plt=mg azj=az afr=af amh=am ara=ar
    asm=as aze=az bak=ba bel=be bul=bg ben=bn bod=bo tib=bo bre=br bos=bs cat=ca ces=cs cze=cs
    cym=cy wel=cy dan=da deu=de ger=de ell=el gre=el eng=en spa=es est=et eus=eu baq=eu fas=fa
    per=fa fin=fi fao=fo fra=fr fre=fr glg=gl guj=gu hau=ha heb=he hin=hi hrv=hr hat=ht hun=hu
    hye=hy arm=hy ind=id isl=is ice=is ita=it jpn=ja jav=jw kat=ka geo=ka kaz=kk khm=km kan=kn
    kor=ko lat=la ltz=lb lin=ln lao=lo lit=lt lav=lv mlg=mg mri=mi mao=mi mkd=mk mac=mk mal=ml
    mon=mn mar=mr msa=ms may=ms mlt=mt mya=my bur=my nep=ne nld=nl dut=nl nno=nn nob=no nor=no
    oci=oc pan=pa pol=pl pus=ps por=pt ron=ro rum=ro rus=ru san=sa snd=sd sin=si slk=sk slo=sk
    slv=sl sna=sn som=so sqi=sq alb=sq srp=sr sun=su swe=sv swa=sw tam=ta tel=te tgk=tg tha=th
    tuk=tk tgl=tl tur=tr tat=tt ukr=uk urd=ur uzb=uz vie=vi yid=yi yor=yo zho=zh chi=zh
"""


def _pairs(table: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in table.split())
    return {name.replace("_", " "): code for name, _, code in pairs}


_CODES = {code: code for code in NAMES} | _pairs(_CODES_TOO)
_BY_NAME = {name: code for code, name in NAMES.items()} | _pairs(_NAMES_TOO)


def code_of(language: str) -> str | None:
    """Whisper's code of a language; None if it is unknown.

    Taken are a code of ISO 639 (``nb``, ``deu``), a tag that begins with one (``en-GB``,
    ``zh_Hant_TW``, ``zh-yue``), an English name (``Norwegian``), and Whisper's own token.
    """
    wanted = language.strip().lower().removeprefix("<|").removesuffix("|>")
    tag = wanted.replace("_", "-").partition(".")[0].split("-")
    if tag[0] == "zh" and "yue" in tag[1:2]:
        return "yue"  # BCP 47 lets a language follow the group that it is of
    if tag[0] in _CODES:
        return _CODES[tag[0]]
    return _BY_NAME.get(" ".join(wanted.replace("_", " ").split()))


def name_of(code: str) -> str:
    """The English name for ``code``, or ``code`` itself where there is none."""
    return NAMES.get(code, code)
