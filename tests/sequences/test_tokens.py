"""Tokenizers: what goes in comes out, and what cannot go in is named."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import InputError
from foretell.sequences.tokens import token_text, tokenizer_from_json, train_tokenizer

SPECIAL = ("<pad>", "<s>")
TEXT = "the cat sat on the mat, the cat sat; größer als 日本 😀\n"


def make(kind, special=SPECIAL):
    return train_tokenizer(kind, [TEXT] * 3, 300 if kind == "bpe" else None, special)


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
@pytest.mark.parametrize("special", [(), SPECIAL])
def test_decoding_undoes_encoding(kind, special):
    tokenizer = make(kind, special)
    tokens = tokenizer.encode(TEXT)
    assert tokenizer.decode(tokens) == TEXT
    assert b"".join(tokenizer.to_bytes(token) for token in tokens) == TEXT.encode()
    assert tokens.dtype == np.int32
    assert len(special) <= tokens.min()
    assert tokens.max() < tokenizer.size


def test_special_tokens_are_the_first_and_no_text():
    for kind in ("characters", "bytes", "bpe"):
        tokenizer = make(kind)
        assert [token_text(tokenizer, token) for token in range(2)] == list(SPECIAL)
        assert tokenizer.decode([0, *tokenizer.encode("cat"), 1]) == "cat"


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
@given(text=st.text())
def test_every_text_has_tokens(kind, text):
    tokenizer = tokenizer_from_json(PLAIN[kind])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert not np.isin(tokenizer.encode("<s>" + text), [0, 1]).any()


PLAIN = {kind: make(kind).to_json() for kind in ("bytes", "bpe")}


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_stored_as_json(kind):
    tokenizer = make(kind)
    again = tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again.size == tokenizer.size
    assert again.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()


def test_pairs_are_learnt():
    tokenizer = make("bpe")
    assert 256 + len(SPECIAL) < tokenizer.size <= 300  # fewer, where a text has no more pairs
    assert [token_text(tokenizer, token) for token in tokenizer.encode("the cat")] == ["the", " cat"]


def test_an_unknown_character_is_named_with_its_place():
    with pytest.raises(InputError, match=r"character 5: 'ß' \(U\+00DF\)"):
        train_tokenizer("characters", ["maße"[:2] + "e "]).encode("mamaß")


def test_half_a_character():
    tokenizer = make("bytes")
    tokens = tokenizer.encode("ß")
    assert tokenizer.decode(tokens[:1]) == "�"
    assert token_text(tokenizer, tokens[0]) == "\\xc3"


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("bpe", 10, "at least 256"),
        ("bpe", None, "at least 256"),
        ("bytes", 300, "left out"),
        ("words", None, "unknown"),
    ],
)
def test_bad_arguments(kind, size, message):
    with pytest.raises(InputError, match=message):
        train_tokenizer(kind, [TEXT], size)
