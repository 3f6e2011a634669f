"""Text to tokens and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from statespace.errors import InputError
from statespace.models import ByteVocabulary, SymbolVocabulary


@given(st.text())
def test_bytes_hold_any_text(text: str) -> None:
    vocabulary = ByteVocabulary()
    tokens = vocabulary.encode(text)
    assert bytes(tokens.tolist()) == text.encode()
    assert vocabulary.decode(tokens) == text


def test_a_letter_that_is_cut_is_marked() -> None:
    vocabulary = ByteVocabulary()
    assert vocabulary.decode(vocabulary.encode("Δt")[1:]) == "\ufffdt"


@given(st.text("abc", max_size=30))
def test_symbols_give_back_the_text(text: str) -> None:
    vocabulary = SymbolVocabulary(["a", "b", "c", "ab", "abc", "ca"])
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_the_longest_symbol_is_taken() -> None:
    vocabulary = SymbolVocabulary(["a", "ab", "b", "abc", "(.)"])
    assert vocabulary.encode("abcab(.)b").tolist() == [3, 1, 4, 2]
    assert SymbolVocabulary.of_letters("banana").symbols == ("a", "b", "n")


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="no symbol fits 'cab', 2 letters into the text"):
        SymbolVocabulary(["a", "b"]).encode("abcab")
    with pytest.raises(InputError, match="token 256 is not in the vocabulary: tokens go from 0 to 255"):
        ByteVocabulary().decode(torch.tensor([1, 256]))
    with pytest.raises(InputError, match="holds 'a' twice"):
        SymbolVocabulary(["a", "b", "a"])
    for symbols in ([], ["a", ""], [1]):
        with pytest.raises(InputError, match="none of them empty"):
            SymbolVocabulary(symbols)
