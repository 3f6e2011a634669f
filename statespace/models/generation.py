"""Text from a language model: prompts are read at once, the state carried from piece to piece; then token by token.

    state, logits ← read(prompt);   repeat: token ~ p(· | logits), give it, state, logits ← step(token, state)

Memory is that of one piece of the prompts and one state, however long the prompts and the text; with a Transformer
among the layers, the state is its cache and grows.

Source: Gu and Dao 2023 (Mamba, arXiv:2312.00752), section 4.5, on inference.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.layers import State
from statespace.models.prompts import Prompts
from statespace.models.sampling import Sampling
from statespace.models.vocabulary import Vocabulary, check_tokens

States = list[State]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class TextGenerator(nn.Module, ABC):
    """What every model over tokens can do that reads sequences and steps.

    Attributes:
        vocab_size: number of tokens.
        eos: tokens that end a text.
        vocabulary: how text is written in tokens, or None.
    """

    vocab_size: int
    eos: tuple[int, ...]
    vocabulary: Vocabulary | None

    @abstractmethod
    def _read(self, tokens: Tensor, state: States | None, lengths: Tensor | None) -> tuple[Tensor, States]:
        """Read sequences ``(b, l)`` that are known to be tokens, up to the head: ``(b, l, d)`` and the state."""

    @abstractmethod
    def _step(self, tokens: Tensor, state: States) -> tuple[Tensor, States]:
        """Read one token of each sequence ``(b,)``: logits ``(b, vocab_size)`` and the state."""

    @abstractmethod
    def _logits(self, x: Tensor) -> Tensor:
        """Apply the head to ``(..., d)``."""

    def _stepper(self, state: States) -> Callable[[Tensor], Tensor]:
        """Return what reads one token of each sequence ``(b,)`` and gives the logits, again and again.

        Args:
            state: what was read before; it is left as it is.
        """

        def step(tokens: Tensor) -> Tensor:
            nonlocal state
            logits, state = self._step(tokens, state)
            return logits

        return step

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _check_eos(self, where: str, eos: Sequence[int] | int) -> tuple[int, ...]:
        tokens = tuple(eos) if isinstance(eos, Sequence) else (eos,)
        for token in tokens:
            if not isinstance(token, int) or not 0 <= token < self.vocab_size:
                raise InputError(
                    f"{where}: eos has {token!r}, which is not a token: tokens go from 0 to {self.vocab_size - 1}."
                )
        return tokens

    def _prefill(self, prompts: Prompts, chunk: int) -> tuple[Tensor, States]:
        """Read the prompts piece by piece, and return the logits after the last token of each, and the state."""
        rows = torch.arange(len(prompts.tokens), device=prompts.tokens.device)
        last: Tensor | None = None
        state: States | None = None
        for tokens, lengths, ends in prompts.pieces(chunk):
            x, state = self._read(tokens, state, lengths)
            at = x[:, -1] if lengths is None else x[rows, (lengths - 1).clamp(min=0)]
            last = at if last is None else torch.where(ends[:, None], at, last)
        assert last is not None
        assert state is not None
        return self._logits(last), state

    @torch.no_grad()
    def sample(
        self,
        prompts: Tensor | Sequence[Tensor | Sequence[int]],
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | int | None = None,
        chunk: int = 2048,
    ) -> Iterator[Tensor]:
        """Give one token after the other, without end; memory does not grow with their number.

        The first token is that of the model as it is now, the later ones of the model as it is when the second is asked
        for: where a compiled core runs them, it has a copy of the weights for as long as tokens are drawn.

        Args:
            prompts: texts to go on from, ``(b, l)``, or one ``(l,)`` for each, of any lengths from 1 on.
            temperature: divides the logits; 0 takes the most probable token.
            top_k: choose among that many of the most probable tokens.
            top_p: choose among the fewest tokens whose probabilities reach this sum.
            generator: where chance comes from: a seed, a generator on the model's device, or None for torch's own.
            chunk: tokens of each prompt that are read at once.
        Yields:
            The next token of each text, ``(b,)``.
        Raises:
            InputError: a prompt is empty, a token is not in the vocabulary, or an argument is out of range.
        """
        sampling = Sampling(temperature, top_k, top_p)
        if not _is_count(chunk):
            raise InputError(f"generate: chunk is {chunk!r}, but a whole number of tokens from 1 on is read at once.")
        if not (generator is None or isinstance(generator, int | torch.Generator)):
            raise InputError(
                f"generate: generator is {generator!r}, but a seed, a torch.Generator or None is expected."
            )
        read = Prompts.gather("generate", prompts, self._device())
        check_tokens("generate", read.tokens, self.vocab_size)
        if isinstance(generator, int):
            generator = torch.Generator(self._device()).manual_seed(generator)
        logits, state = self._prefill(read, chunk)
        yield (tokens := sampling.choose(logits, generator))
        step = self._stepper(state)
        del state  # what runs the steps keeps it
        while True:
            yield (tokens := sampling.choose(step(tokens), generator))

    @torch.no_grad()
    def generate(
        self,
        prompts: Tensor | Sequence[Tensor | Sequence[int]],
        max_new_tokens: int = 128,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        eos: int | Sequence[int] | None = None,
        generator: torch.Generator | int | None = None,
        chunk: int = 2048,
    ) -> list[Tensor]:
        """Go on from texts of any lengths.

        Args:
            prompts: as for `sample`.
            max_new_tokens: at most that many tokens a text, from 1 on.
            temperature: as for `sample`.
            top_k: as for `sample`.
            top_p: as for `sample`.
            eos: tokens that end a text; None for the model's own, ``()`` for none.
            generator: as for `sample`.
            chunk: as for `sample`.
        Returns:
            The new tokens of each text, ``(new,)``, up to the one that ended it, that one included.
        Raises:
            InputError: a prompt is empty, a token is not in the vocabulary, or an argument is out of range.
        """
        if not _is_count(max_new_tokens):
            raise InputError(
                f"generate: max_new_tokens is {max_new_tokens!r}, but a whole number of at least 1 is expected."
            )
        ends = torch.tensor(self.eos if eos is None else self._check_eos("generate", eos), dtype=torch.int64)
        ends = ends.to(self._device())
        tokens = self.sample(
            prompts, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator, chunk=chunk
        )
        columns: list[Tensor] = []
        ended: Tensor | None = None
        for column in islice(tokens, max_new_tokens):
            columns.append(column)
            now = torch.isin(column, ends)
            ended = now if ended is None else ended | now
            if bool(ended.all()):
                break
        return [_until(text, ends) for text in torch.stack(columns, 1)]

    def complete(
        self,
        text: str,
        max_new_tokens: int = 128,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | int | None = None,
    ) -> str:
        """Go on from a text in the model's vocabulary.

        Args:
            text: what to go on from, not empty.
            max_new_tokens: at most that many tokens, from 1 on.
            temperature: as for `sample`.
            top_k: as for `sample`.
            top_p: as for `sample`.
            generator: as for `sample`.
        Returns:
            What comes after `text`, without the token that ended it.
        Raises:
            InputError: the model has no vocabulary, or the text is empty or not in it.
        """
        if self.vocabulary is None:
            raise InputError("complete: the model has no vocabulary: set model.vocabulary, or pass tokens to generate.")
        prompt = self.vocabulary.encode(text)
        (new,) = self.generate(
            [prompt], max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
        )
        return self.vocabulary.decode([token for token in new.tolist() if token not in self.eos])


def _until(tokens: Tensor, ends: Tensor) -> Tensor:
    """Cut after the first token that ends a text."""
    (places,) = torch.isin(tokens, ends).nonzero(as_tuple=True)
    return tokens[: int(places[0]) + 1] if len(places) else tokens
