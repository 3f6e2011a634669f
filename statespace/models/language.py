"""A language model of state space layers: embedding, residual blocks, norm, head.

    x_0 = E[token],   x_{i+1} = x_i + Layer(Norm(x_i)),   logits = W Norm(x_last),   W = E where they are tied

What it has read it keeps in a state of fixed size, so that a token costs the same however long the text; a stack with
a Transformer among its layers has the growing cache of that layer in its state instead.

Source: Gu and Dao 2023 (Mamba, arXiv:2312.00752), sections 3.4 and 4.2; the start of the weights as in its code:
embeddings of variance 0.02², and what a block adds to the stream divided by the root of the number of blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from math import inf, sqrt
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import InputError, at_least, choose
from statespace.kernels.stack_step import Program, StackStep
from statespace.layers import LAYERS, ResidualBlock, State
from statespace.layers.base import check_lengths, no_state
from statespace.layers.norm import NORMS
from statespace.models.generation import TextGenerator
from statespace.models.pretrained import arguments_from, load, made, save
from statespace.models.program import flatten, program_of
from statespace.models.published import MIXERS
from statespace.models.stream import StreamedModel
from statespace.models.stream_norm import StreamNorm
from statespace.models.vocabulary import Vocabulary, check_tokens
from statespace.shapes import expect

_EMBEDDING_STD = 0.02
# Beyond, the layers write: a compiled stack holds the weights a second time, and reads them on one thread for one text.
_MOST_COMPILED = 2**27  # parameters


class MambaLM(TextGenerator, StreamedModel):
    """Language model of Mamba, Mamba-2 or any other layers, with a state instead of a growing context.

    Args:
        vocab_size: number of tokens, which are the integers from 0 to below it; 256 for bytes.
        d_model: number of channels.
        n_layers: number of blocks; None for as many as `layer` names, or four if it is one name.
        layer: name of the layer, a key of `statespace.layers.LAYERS`; or several, which are repeated in this order.
        options: keywords for the layers, by the layer's name: ``{"mamba": {"d_state": 32}}``.
        mixing: how a block mixes channels after its layer, as `ResidualBlock` has it; None for not at all after a layer
            that mixes them itself, such as Mamba, and ``"glu"`` after any other.
        norm: ``"rms"`` or ``"layer"``.
        norm_eps: added to the mean square, or to the variance, in the norms.
        residual_in_fp32: keep the stream that the blocks add to in float32, whatever the type of the weights.
        tie_embeddings: take the embedding as the head's weights.
        pad_vocab_size_multiple: the embedding gets rows up to a multiple of this; none of these is ever a token.
        eos: tokens that end a text.
        vocabulary: how text is written in tokens, for `complete`; it is saved with the model.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    has_time = False

    def __init__(
        self,
        vocab_size: int = 256,
        d_model: int = 128,
        n_layers: int | None = None,
        layer: str | Sequence[str] = "mamba",
        options: Mapping[str, Mapping[str, Any]] | None = None,
        mixing: str | None = None,
        norm: str = "rms",
        norm_eps: float = 1e-5,
        residual_in_fp32: bool = True,
        tie_embeddings: bool = True,
        pad_vocab_size_multiple: int = 1,
        eos: int | Sequence[int] = (),
        vocabulary: Vocabulary | None = None,
    ) -> None:
        super().__init__()
        several = isinstance(layer, Sequence) and not isinstance(layer, str)
        pattern = list(layer) if several else [layer]
        if not pattern:
            raise InputError("MambaLM: layer names no layer, but at least one is expected.")
        count = (len(pattern) if several else 4) if n_layers is None else n_layers
        at_least("MambaLM", 1, vocab_size=vocab_size, d_model=d_model, n_layers=count)
        at_least("MambaLM", 1, pad_vocab_size_multiple=pad_vocab_size_multiple)
        if isinstance(norm_eps, bool) or not isinstance(norm_eps, int | float) or not 0 <= norm_eps < inf:
            raise InputError(f"MambaLM: norm_eps is {norm_eps!r}, but a number of at least 0 is expected.")
        layers = [choose("MambaLM", "layer", name, LAYERS) for name in islice(cycle(pattern), count)]
        given = {name: dict(values) for name, values in (options or {}).items()}
        for name in given:
            choose("MambaLM", "a layer in options", name, dict.fromkeys(layers))
        if vocabulary is not None and vocabulary.size != vocab_size:
            raise InputError(
                f"MambaLM: vocab_size is {vocab_size}, but the vocabulary has {vocabulary.size} tokens: pass that many."
            )
        self.vocab_size, self.d_model, self.vocabulary = vocab_size, d_model, vocabulary
        self.eos = self._check_eos("MambaLM", eos)
        self._arguments: dict[str, Any] = {
            "vocab_size": vocab_size,
            "d_model": d_model,
            "layer": layers,
            "options": given,
            "mixing": mixing,
            "norm": choose("MambaLM", "norm", norm, NORMS),
            "norm_eps": norm_eps,
            "residual_in_fp32": residual_in_fp32,
            "tie_embeddings": tie_embeddings,
            "pad_vocab_size_multiple": pad_vocab_size_multiple,
            "eos": self.eos,
        }
        rows = -(-vocab_size // pad_vocab_size_multiple) * pad_vocab_size_multiple
        self.embedding = nn.Embedding(rows, d_model)
        nn.init.normal_(self.embedding.weight, std=_EMBEDDING_STD)
        self.blocks = nn.ModuleList(self._block(name, given.get(name, {}), count) for name in layers)
        self.norm = StreamNorm(d_model, norm, norm_eps)
        self.head = None if tie_embeddings else nn.Linear(d_model, rows, bias=False)

    def _block(self, name: str, options: Mapping[str, Any], count: int) -> ResidualBlock:
        try:
            layer = LAYERS[name](self.d_model, **options)
        except TypeError as error:
            raise InputError(f"MambaLM: options do not fit the layer {name!r}: {error}.") from error
        mixing = self._arguments["mixing"]
        if mixing is None:
            mixing = "none" if layer.capabilities.mixes else "glu"
        if name in MIXERS:
            with torch.no_grad():
                layer.get_parameter("out.weight").div_(sqrt(count))
        norm = StreamNorm(self.d_model, self._arguments["norm"], self._arguments["norm_eps"])
        return ResidualBlock(layer, mixing, norm=norm)

    def _blocks(self) -> list[ResidualBlock]:
        return [block for block in self.blocks if isinstance(block, ResidualBlock)]

    @property
    def n_parameters(self) -> int:
        """Number of parameters; an embedding that is also the head counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _check_state(self, where: str, state: list[State], batch: int) -> None:
        if len(state) != len(self.blocks):
            raise InputError(
                f"{where}: state holds {len(state)} states, but one for each of {len(self.blocks)} blocks is expected: "
                "pass what initial_state or an earlier call gave."
            )
        for part in state:
            for tensor in (part,) if isinstance(part, Tensor) else part:
                if len(tensor) != batch:
                    raise InputError(
                        f"{where}: state is of a batch of {len(tensor)}, but tokens has {batch} sequences: a state "
                        "belongs to the texts that it has read."
                    )

    def _embed(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens)
        return x.to(torch.promote_types(x.dtype, torch.float32)) if self._arguments["residual_in_fp32"] else x

    def _head(self) -> Tensor:
        weight = self.embedding.weight if self.head is None else self.head.weight
        return weight[: self.vocab_size]

    def _logits(self, x: Tensor) -> Tensor:
        return F.linear(x, self._head())

    def _read(self, tokens: Tensor, state: list[State] | None, lengths: Tensor | None) -> tuple[Tensor, list[State]]:
        x = self._embed(tokens)
        states: list[State] = []
        for i, block in enumerate(self._blocks()):
            x, after = block(x, None if state is None else state[i], lengths)
            states.append(after)
        return self.norm(x), states

    def _step(self, tokens: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        x = self._embed(tokens)
        states: list[State] = []
        for block, before in zip(self._blocks(), state, strict=True):
            x, after = block.step(x, before)
            states.append(after)
        return self._logits(self.norm(x)), states

    def _stepper(self, state: list[State]) -> Callable[[Tensor], Tensor]:
        program = self.program() if self.n_parameters <= _MOST_COMPILED else "it is large."
        if isinstance(program, str):
            return super()._stepper(state)
        parts = flatten(state)
        stack = StackStep(program, len(parts[0]))
        if stack.backend != "native":
            return super()._stepper(state)
        stack.states = parts
        return lambda tokens: stack(self._embed(tokens).to(program.dtype))

    def forward(
        self, tokens: Tensor, state: list[State] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """Read whole texts.

        Args:
            tokens: ``(b, l)``, integers from 0 to below `vocab_size`.
            state: what was read before, from `initial_state` or an earlier call; None for nothing.
            lengths: tokens that count in each text, ``(b,)``, for right-padded batches; None counts all. Whatever
                stands in the padding is not looked at.
        Returns:
            Logits of the token after each, ``(b, l, vocab_size)``, of no meaning in the padding, and the state after
            the last token that counts.
        Raises:
            ShapeError: `tokens`, `state` or `lengths` does not have the shape named here.
            InputError: a token is not in the vocabulary, or the state is of another batch or model.
        """
        where = "MambaLM.forward"
        expect(where, "tokens", tokens, "b l", {}, "A single text goes in as tokens[None].")
        lengths = check_lengths(where, lengths, *tokens.shape)
        if lengths is not None:
            tokens = tokens.masked_fill(torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None], 0)
        tokens = check_tokens(where, tokens, self.vocab_size)
        if state is not None:
            self._check_state(where, state, len(tokens))
        x, state = self._read(tokens, state, lengths)
        return self._logits(x), state

    def step(self, tokens: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Read one token of each text: constant time and memory, however long the text was.

        Args:
            tokens: ``(b,)``.
            state: what was read before; it is left as it is.
        Returns:
            Logits of the next token, ``(b, vocab_size)``, and the state.
        Raises:
            ShapeError: `tokens` is not ``(b,)``.
            InputError: a token is not in the vocabulary, or the state is of another batch or model.
        """
        expect("MambaLM.step", "tokens", tokens, "b", {}, "A step takes one token a text; whole texts go to forward.")
        tokens = check_tokens("MambaLM.step", tokens, self.vocab_size)
        if state is None:
            raise no_state("MambaLM.step")
        self._check_state("MambaLM.step", state, len(tokens))
        return self._step(tokens, state)

    def initial_state(self, batch: int) -> list[State]:
        """Return the state of each block before any token."""
        return [block.layer.initial_state(batch) for block in self._blocks()]

    def token_embedding(self) -> nn.Embedding:
        """Return the embedding, without the rows beyond the vocabulary."""
        known: nn.Embedding = nn.Embedding.from_pretrained(self.embedding.weight[: self.vocab_size])
        return known

    def program(self, dt_scale: float = 1.0) -> Program | str:
        """Return one step from the embedded token to the logits; see `StreamedModel.program`."""
        return program_of(self._blocks(), self.norm, dt_scale, head=(self._head(), None))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "MambaLM":
        """Make a model with fresh weights from what stands in a ``config.json``.

        Args:
            config: in transformers' layout, in mamba-ssm's, or in that of `save_pretrained`.
        Returns:
            The model.
        Raises:
            InputError: the configuration lacks an entry, or tells of something that there is no layer for.
        """
        where = "MambaLM.from_config"
        return made(where, cls, arguments_from(where, config))

    @classmethod
    def load_pretrained(
        cls, folder: Path | str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> "MambaLM":
        """Read a checkpoint of Mamba or Mamba-2 as mamba-ssm or transformers publish it, or one that was saved here.

        Nothing is fetched from anywhere, and no code in the folder is run.

        Args:
            folder: with ``config.json``, and weights as safetensors or as ``.bin``, whole or in shards.
            dtype: of the weights; None keeps the types in which they were stored.
            device: where to put them.
        Returns:
            The model, in evaluation mode.
        Raises:
            InputError: a file is missing or broken, or the weights do not fit the configuration; the message names the
                first tensors that are missing or left over, and what they may have been meant for. Or there is no such
                type or device.
            ShapeError: a tensor has another shape than the configuration says.
        """
        return load("MambaLM.load_pretrained", cls, Path(folder), dtype, device).eval()

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the model as a folder, whole or not at all.

        A stack of Mamba or of Mamba-2 blocks is written in the layout that transformers reads, with
        ``AutoModelForCausalLM.from_pretrained(folder)``; any other in one of our own. `load_pretrained` reads both.

        Args:
            folder: where to; an earlier model there is replaced.
        Raises:
            InputError: the folder cannot be written.
        """
        save("MambaLM.save_pretrained", folder, self, self._arguments, self.vocabulary)
