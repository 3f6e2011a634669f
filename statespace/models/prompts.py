"""Texts to go on from, of any lengths, padded to one tensor and read in pieces of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.shapes import expect


@dataclass(frozen=True)
class Prompts:
    """A batch of texts.

    Args:
        tokens: ``(b, l)``, int64, padded on the right with 0.
        lengths: tokens that count in each, ``(b,)``; None if all do.
    """

    tokens: Tensor
    lengths: Tensor | None

    @classmethod
    def gather(cls, where: str, prompts: Tensor | Sequence[Tensor | Sequence[int]], device: torch.device) -> "Prompts":
        """Take a batch as it comes.

        Args:
            where: the function, for messages.
            prompts: ``(b, l)``, or one ``(l,)`` for each text.
            device: where to put them.
        Returns:
            The batch.
        Raises:
            InputError: there is no text, one is empty, or one is not made of integers.
        """
        given: object = prompts
        if isinstance(given, str):
            raise InputError(
                f"{where}: prompts is text, but tokens are expected: pass [vocabulary.encode(text)], or call complete."
            )
        if isinstance(prompts, Tensor):
            expect(where, "prompts", prompts, "b l", {}, "A single text goes in as prompts[None].")
        texts = [torch.as_tensor(text, device=device) for text in prompts]
        if not texts:
            raise InputError(f"{where}: prompts is empty, but at least one text is expected.")
        for i, text in enumerate(texts):
            if text.ndim != 1:
                raise InputError(
                    f"{where}: prompt {i} is {tuple(text.shape)}, but a row of tokens is expected: pass one list, or "
                    "one tensor (l,), for each text."
                )
            if len(text) == 0:
                raise InputError(
                    f"{where}: prompt {i} is empty, but at least one token is needed to go on from: begin with a "
                    "token that starts a text, such as that of a line break."
                )
            if text.is_floating_point() or text.is_complex() or text.dtype == torch.bool:
                raise InputError(f"{where}: prompt {i} is {text.dtype}, but integers are expected: pass text.long().")
        tokens = torch.nn.utils.rnn.pad_sequence([text.long() for text in texts], batch_first=True)
        lengths = torch.tensor([len(text) for text in texts], device=device)
        return cls(tokens, None if bool((lengths == tokens.shape[1]).all()) else lengths)

    def pieces(self, size: int) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
        """Cut the batch along the length.

        Args:
            size: tokens in a piece, at most.
        Yields:
            The piece ``(b, size)``, the tokens that count in it ``(b,)`` or None if all do, and which texts end in it
            ``(b,)``.
        """
        longest = self.tokens.shape[1]
        lengths = torch.full((len(self.tokens),), longest) if self.lengths is None else self.lengths
        for begin in range(0, longest, size):
            tokens = self.tokens[:, begin : begin + size]
            end = begin + tokens.shape[1]
            inside = None if self.lengths is None else (self.lengths - begin).clamp(0, tokens.shape[1])
            yield tokens, inside, ((lengths > begin) & (lengths <= end)).to(tokens.device)
