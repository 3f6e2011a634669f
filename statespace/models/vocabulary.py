"""Vocabularies: text to tokens and back, without a trained tokeniser.

    ByteVocabulary      the 256 bytes of UTF-8: any text, no symbol unknown
    SymbolVocabulary    a list of symbols of one's own: letters, words, notes, moves; the longest that fits is taken

Language models take plain numbers, so that any other tokeniser serves as well: pass what its ``encode`` gives.

Source: Xue et al. 2022 (ByT5, arXiv:2105.13626), section 3.1, for bytes instead of tokens.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from statespace.errors import InputError


def check_tokens(where: str, tokens: Tensor, size: int) -> Tensor:
    """Check that all are tokens of a vocabulary, and return them as int64.

    Args:
        where: the caller, for the message.
        tokens: of any shape.
        size: of the vocabulary.
    Returns:
        The same numbers.
    Raises:
        InputError: they are no integers, or one lies outside.
    """
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise InputError(f"{where}: tokens is {tokens.dtype}, but integers are expected: pass tokens.long().")
    tokens = tokens.long()
    if not tokens.numel():
        return tokens
    least, most = map(int, torch.aminmax(tokens))
    if least < 0 or most >= size:
        outside = int(tokens[(tokens < 0) | (tokens >= size)][0])
        raise InputError(
            f"{where}: {outside} is not in the vocabulary: tokens go from 0 to {size - 1}; was the text written in "
            "another vocabulary than the model's?"
        )
    return tokens


class Vocabulary(ABC):
    """A set of tokens, numbered from 0, and how text is written in them."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of tokens."""

    @abstractmethod
    def encode(self, text: str) -> Tensor:
        """Write text in tokens.

        Args:
            text: any text of the vocabulary.
        Returns:
            Tokens, ``(l,)``, int64.
        Raises:
            InputError: a part of the text is not in the vocabulary.
        """

    @abstractmethod
    def _text(self, tokens: list[int]) -> str:
        """Join tokens that are known to be in range."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what `vocabulary_from` makes the same vocabulary of, as JSON takes it."""

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """Read tokens as text.

        Args:
            tokens: ``(l,)``, integers from 0 to below `size`.
        Returns:
            The text.
        Raises:
            InputError: a token is out of range.
        """
        numbers = [int(token) for token in tokens]
        outside = [token for token in numbers if not 0 <= token < self.size]
        if outside:
            raise InputError(
                f"{type(self).__name__}.decode: token {outside[0]} is not in the vocabulary: tokens go from 0 to "
                f"{self.size - 1}."
            )
        return self._text(numbers)


class ByteVocabulary(Vocabulary):
    """The 256 bytes of UTF-8; a sequence that is cut inside a letter decodes to U+FFFD there."""

    @property
    def size(self) -> int:
        """256."""
        return 256

    def encode(self, text: str) -> Tensor:
        """Return the bytes of `text`; see `Vocabulary.encode`."""
        return torch.tensor(list(text.encode("utf-8")), dtype=torch.int64)

    def _text(self, tokens: list[int]) -> str:
        return bytes(tokens).decode("utf-8", errors="replace")

    def describe(self) -> dict[str, Any]:
        """Return its kind."""
        return {"kind": "bytes"}


class SymbolVocabulary(Vocabulary):
    """A list of symbols; text is cut from left to right, each time by the longest symbol that fits.

    Args:
        symbols: the symbols, each once and none empty; a symbol's place is its token.
    Raises:
        InputError: there is none, one is empty or not text, or one comes twice.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        if not self.symbols or not all(isinstance(symbol, str) and symbol for symbol in self.symbols):
            raise InputError("SymbolVocabulary: symbols must be one or more pieces of text, none of them empty.")
        self._tokens = {symbol: token for token, symbol in enumerate(self.symbols)}
        if len(self._tokens) < len(self.symbols):
            twice = next(symbol for token, symbol in enumerate(self.symbols) if self._tokens[symbol] != token)
            raise InputError(f"SymbolVocabulary: symbols holds {twice!r} twice: pass each symbol once.")
        longest_first = sorted(self.symbols, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    @classmethod
    def of_letters(cls, text: str) -> "SymbolVocabulary":
        """Make a vocabulary of the letters of a text, in the order of Unicode.

        Args:
            text: every letter of it becomes a symbol.
        Returns:
            The vocabulary.
        """
        return cls(sorted(set(text)))

    @property
    def size(self) -> int:
        """Number of symbols."""
        return len(self.symbols)

    def encode(self, text: str) -> Tensor:
        """Cut `text` into symbols; see `Vocabulary.encode`."""
        tokens, place = [], 0
        while place < len(text):
            found = self._pattern.match(text, place)
            if found is None:
                raise InputError(
                    f"SymbolVocabulary.encode: no symbol fits {text[place : place + 10]!r}, {place} letters into the "
                    "text: add what is missing to the symbols, or take a ByteVocabulary, which knows all."
                )
            tokens.append(self._tokens[found.group()])
            place = found.end()
        return torch.tensor(tokens, dtype=torch.int64)

    def _text(self, tokens: list[int]) -> str:
        return "".join(self.symbols[token] for token in tokens)

    def describe(self) -> dict[str, Any]:
        """Return its kind and its symbols."""
        return {"kind": "symbols", "symbols": list(self.symbols)}


def vocabulary_from(where: str, description: object) -> Vocabulary:
    """Make a vocabulary from what `Vocabulary.describe` gave.

    Args:
        where: the function or file, for the message.
        description: the dictionary.
    Returns:
        The vocabulary.
    Raises:
        InputError: it is not such a dictionary.
    """
    if isinstance(description, dict):
        if description.get("kind") == "bytes":
            return ByteVocabulary()
        if description.get("kind") == "symbols" and isinstance(description.get("symbols"), list):
            return SymbolVocabulary(description["symbols"])
    raise InputError(
        f'{where}: a vocabulary is {{"kind": "bytes"}} or {{"kind": "symbols", "symbols": […]}}, but this is '
        f"{str(description)[:60]!r}: save the model again."
    )
