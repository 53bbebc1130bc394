"""Tokenizers that never make a control token of a text: what the model is told by those is written
by its template alone.

A tokenizer finds control tokens in two ways: by looking for them before anything else, which
`encode_special_tokens` turns off, and by having them among the pieces that its model puts texts
together from. Unigram models do: XLM-R's ``</s>`` is a piece like any other, and its
normalizer makes one of full-width letters, too. There, the piece gets a name that no text has.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from worker.engine import LoadError

# No normalizer makes a noncharacter of anything, and nobody guesses what follows it.
_UNSAYABLE = "\uffff" + secrets.token_hex(8)
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # how byte fallback looks bytes up


def open_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer in ``file``, to which every text is plain text, and which neither pads nor
    truncates. Raises `LoadError`."""
    try:
        tokenizer = as_plain_text(Tokenizer.from_file(str(file)))
    except Exception as error:  # the library raises nothing narrower
        raise LoadError(f"{file} is damaged: {error}; fetch the model again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def as_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    """``tokenizer`` itself or one made of it, to which control tokens in a text are text."""
    tokenizer.encode_special_tokens = True
    control = control_tokens(tokenizer)
    if any(_forged(tokenizer, token, text) for token, text in control.items()):
        tokenizer = Tokenizer.from_str(_renamed(tokenizer.to_str(), set(control.values())))
        tokenizer.encode_special_tokens = True
    return tokenizer


def control_tokens(tokenizer: Tokenizer) -> dict[int, str]:
    """The texts of the control tokens by their ids: those that the tokenizer calls special, and
    those that its template writes around a text or between two."""
    added = tokenizer.get_added_tokens_decoder()
    special = {token: each.content for token, each in added.items() if each.special}
    written = {*tokenizer.encode("").ids, *tokenizer.encode("", "").ids}
    known = {token: str(tokenizer.id_to_token(token)) for token in written} | special
    return {token: text.removeprefix(_UNSAYABLE) for token, text in known.items()}


def hold_back(tokenizer: Tokenizer, pattern: re.Pattern[str]) -> None:
    """Count the added tokens that match ``pattern`` among the control tokens: some tokenizers have
    them as words."""
    words = tokenizer.get_added_tokens_decoder().values()
    texts = [each.content for each in words if not each.special and pattern.fullmatch(each.content)]
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in texts]
    )


def _forged(tokenizer: Tokenizer, token: int, text: str) -> bool:
    return token in tokenizer.encode(text, add_special_tokens=False).ids


def _renamed(content: str, control: set[str]) -> str:
    """A tokenizer.json whose ``control`` tokens no text comes to. Their ids stay as they are, and
    that of unknown pieces is no control token: any text may come to it."""
    found = json.loads(content)
    model = found["model"]
    fallback = bool(model.get("byte_fallback"))
    new = {
        text: _UNSAYABLE + text
        for text in control - {model.get("unk_token")}
        if not (fallback and _BYTE.fullmatch(text))
    }
    for each in found["added_tokens"]:
        each["content"] = new.get(each["content"], each["content"])
    model["vocab"] = _with_names(model["vocab"], new)
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if _merged(merge) not in new]
    return json.dumps(found)


def _with_names(vocab: Any, new: dict[str, str]) -> Any:
    """A vocabulary of pieces with their scores or with their ids, some under new names."""
    if isinstance(vocab, list):
        return [[new.get(piece, piece), score] for piece, score in vocab]
    return {new.get(piece, piece): token for piece, token in vocab.items()}


def _merged(merge: str | list[str]) -> str:
    first, second = merge.split(" ", 1) if isinstance(merge, str) else merge
    return first + second
