"""The two published layouts of Mamba checkpoints, and how they are told in the arguments of `MambaLM`.

    mamba-ssm       {"d_model", "n_layer", "ssm_cfg", …}            backbone.embedding.weight
    transformers    {"model_type": "mamba" or "mamba2", …}          backbone.embeddings.weight

Both name all other weights alike: ``backbone.layers.N.norm.weight``, ``backbone.layers.N.mixer.…``,
``backbone.norm_f.weight`` and ``lm_head.weight``, which is left out where it is the embedding.

Source: Gu and Dao 2023 (Mamba, arXiv:2312.00752); Dao and Gu 2024 (Mamba-2, arXiv:2405.21060); the checkpoints
state-spaces/mamba-130m, mamba2-130m and mamba-130m-hf, and transformers' ``MambaConfig`` and ``Mamba2Config``.
"""

import re
from collections.abc import Mapping
from math import inf
from typing import Any

import torch
from torch import Tensor

from statespace.errors import InputError, choose
from statespace.layers._heads import head_width

# Our names inside a layer, and those of the published mixers.
_SHARED = {
    "into.weight": "in_proj.weight",
    "into.bias": "in_proj.bias",
    "conv_weight": "conv1d.weight",
    "conv_bias": "conv1d.bias",
    "out.weight": "out_proj.weight",
    "out.bias": "out_proj.bias",
}
MIXERS: dict[str, dict[str, str]] = {
    "mamba": {
        **_SHARED,
        "ssm.select.weight": "x_proj.weight",
        "ssm.dt_weight": "dt_proj.weight",
        "ssm.dt_bias": "dt_proj.bias",
        "ssm.A_log": "A_log",
        "ssm.D": "D",
    },
    "mamba2": {
        **_SHARED,
        "heads.dt_bias": "dt_bias",
        "heads.A_log": "A_log",
        "heads.D": "D",
        "norm.weight": "norm.weight",
    },
}
"""Layers that have a published form: our name of each parameter, and the published one."""

# Our options, and the keys and defaults of both layouts. What is not here cannot be told to our layer.
_SSM_CFG: dict[str, dict[str, tuple[str, Any]]] = {
    "mamba": {
        "d_state": ("d_state", 16),
        "expand": ("expand", 2),
        "width": ("d_conv", 4),
        "dt_rank": ("dt_rank", None),
        "bias": ("bias", False),
        "conv_bias": ("conv_bias", True),
        "dt_min": ("dt_min", 0.001),
        "dt_max": ("dt_max", 0.1),
    },
    "mamba2": {
        "d_state": ("d_state", 128),
        "expand": ("expand", 2),
        "head_dim": ("headdim", 64),
        "n_groups": ("ngroups", 1),
        "width": ("d_conv", 4),
        "bias": ("bias", False),
        "conv_bias": ("conv_bias", True),
        "dt_min": ("dt_min", 0.001),
        "dt_max": ("dt_max", 0.1),
        "dt_limit": ("dt_limit", (0.0, inf)),
    },
}
_TRANSFORMERS: dict[str, dict[str, tuple[str, Any]]] = {
    "mamba": {
        "d_state": ("state_size", 16),
        "expand": ("expand", 2),
        "width": ("conv_kernel", 4),
        "dt_rank": ("time_step_rank", None),
        "bias": ("use_bias", False),
        "conv_bias": ("use_conv_bias", True),
        "dt_min": ("time_step_min", 0.001),
        "dt_max": ("time_step_max", 0.1),
    },
    "mamba2": {
        "d_state": ("state_size", 128),
        "expand": ("expand", 2),
        "head_dim": ("head_dim", 64),
        "n_groups": ("n_groups", 8),
        "width": ("conv_kernel", 4),
        "bias": ("use_bias", False),
        "conv_bias": ("use_conv_bias", True),
        "dt_min": ("time_step_min", 0.001),
        "dt_max": ("time_step_max", 0.1),
        "dt_limit": ("time_step_limit", (0.0, inf)),
    },
}
# Keys of ssm_cfg that change how a model starts or how fast it is, but not what its weights mean.
_HARMLESS = {"layer", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path", "chunk_size", "use_mem_eff_path"}
_HARMLESS |= {"A_init_range", "conv_init"}
# The one value that our layers have, for keys of ssm_cfg that others can change.
_FIXED: dict[str, Any] = {"D_has_hdim": False, "rmsnorm": True, "norm_before_gate": False, "d_ssm": None}

_IN_BLOCK = re.compile(r"blocks\.(\d+)\.(norm|layer)\.(.+)")


def published_name(ours: str, layer: str) -> str:
    """Return the published name of one of our parameters; that of transformers where the two layouts differ.

    Args:
        ours: the name in `MambaLM.state_dict`.
        layer: ``"mamba"`` or ``"mamba2"``.
    Returns:
        The name in a checkpoint.
    """
    inside = _IN_BLOCK.fullmatch(ours)
    if inside:
        number, part, rest = inside.groups()
        return f"backbone.layers.{number}.{'norm' if part == 'norm' else 'mixer'}." + (
            rest if part == "norm" else MIXERS[layer][rest]
        )
    whole, _, rest = ours.partition(".")
    return {"embedding": "backbone.embeddings", "norm": "backbone.norm_f", "head": "lm_head"}[whole] + f".{rest}"


def with_its_axes(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor with the axes that it has in a checkpoint: a filter there is ``(e, 1, width)``.

    Args:
        name: its name in a checkpoint.
        tensor: our parameter.
    Returns:
        A view of it.
    """
    return tensor[:, None] if name.endswith("conv1d.weight") else tensor


def in_transformers_names(where: str, found: Mapping[str, Tensor], tied: bool) -> dict[str, Tensor]:
    """Name the tensors of a checkpoint as transformers does, and leave out a head that is the embedding.

    Args:
        where: the function, for messages.
        found: tensors by their names in either layout.
        tied: whether the head is the embedding.
    Returns:
        Tensors by name.
    Raises:
        InputError: the head should be the embedding, but is not.
    """
    tensors = {name.replace("backbone.embedding.", "backbone.embeddings.", 1): value for name, value in found.items()}
    embedding = tensors.get("backbone.embeddings.weight")
    if tied and embedding is not None and "lm_head.weight" in tensors:
        head = tensors.pop("lm_head.weight")
        if head is not embedding and not torch.equal(head, embedding):
            raise InputError(
                f"{where}: by config.json the head is tied to the embedding, but the checkpoint holds two that differ: "
                "say false to tie_word_embeddings (transformers) or tie_embeddings (mamba-ssm) there."
            )
    return tensors


def _take(where: str, config: Mapping[str, Any], key: str, kind: type, default: Any = ...) -> Any:
    """Return the entry of a configuration, checked for its type; None stands for the default."""
    value = config.get(key)
    if value is None:
        if default is ...:
            raise InputError(f"{where}: config.json has no {key!r}, which says how large the model is: add it.")
        return default
    number = kind is float and type(value) is int
    if not (type(value) is kind or number) or (kind is int and value < 0):
        expected = {int: "a whole number (int) from 0 on", float: "a number", bool: "true or false"}[kind]
        raise InputError(f"{where}: config.json says {key} = {value!r}, but {expected} is expected: correct it.")
    return value


def _options(where: str, config: Mapping[str, Any], keys: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """Translate the options of a layer."""
    options: dict[str, Any] = {}
    for ours, (theirs, default) in keys.items():
        if ours == "dt_limit":
            limit = config.get(theirs) or default
            if not (isinstance(limit, list | tuple) and len(limit) == 2):
                raise InputError(f"{where}: config.json says {theirs} = {limit!r}, but two numbers are expected.")
            # transformers 5 writes what JSON has no number for as {"__float__": "Infinity"}
            options[ours] = tuple(float(bound["__float__"] if isinstance(bound, dict) else bound) for bound in limit)
        elif ours == "dt_rank" and config.get(theirs) == "auto":
            options[ours] = None
        else:
            kind = int if default is None else type(default)
            options[ours] = _take(where, config, theirs, kind, default)
    return options


def _from_mamba_ssm(where: str, config: Mapping[str, Any]) -> dict[str, Any]:
    ssm = config.get("ssm_cfg") or {}
    if not isinstance(ssm, dict):
        raise InputError(f"{where}: config.json says ssm_cfg = {ssm!r}, but an object is expected: correct it.")
    layer = choose(where, "the layer in ssm_cfg", str(ssm.get("layer", "Mamba1")).lower(), ("mamba1", "mamba2"))
    layer = {"mamba1": "mamba"}.get(layer, layer)
    for key, empty in (("attn_layer_idx", []), ("d_intermediate", 0)):
        if config.get(key, empty) != empty:
            raise InputError(
                f"{where}: config.json says {key} = {config[key]!r}, but attention and MLP layers among the blocks are "
                "not read: load a checkpoint of Mamba or Mamba-2 blocks alone."
            )
    known = {theirs for theirs, _ in _SSM_CFG[layer].values()}
    for key, value in ssm.items():
        if key not in known | _HARMLESS and (key not in _FIXED or value != _FIXED[key]):
            raise InputError(f"{where}: config.json says {key} = {value!r} in ssm_cfg, which the layer does not have.")
    return {
        "d_model": _take(where, config, "d_model", int),
        "n_layers": _take(where, config, "n_layer", int),
        "vocab_size": _take(where, config, "vocab_size", int),
        "pad_vocab_size_multiple": _take(where, config, "pad_vocab_size_multiple", int, 8),
        "layer": layer,
        "options": {layer: _options(where, ssm, _SSM_CFG[layer])},
        "norm": "rms" if _take(where, config, "rms_norm", bool, True) else "layer",
        "residual_in_fp32": _take(where, config, "residual_in_fp32", bool, True),
        "tie_embeddings": _take(where, config, "tie_embeddings", bool, True),
    }


def _from_transformers(where: str, config: Mapping[str, Any]) -> dict[str, Any]:
    layer = choose(where, "model_type in config.json", config["model_type"], MIXERS)
    choose(where, "hidden_act in config.json", config.get("hidden_act", "silu"), ("silu", "swish"))
    options = _options(where, config, _TRANSFORMERS[layer])
    width = _take(where, config, "hidden_size", int)
    inner = options["expand"] * width
    if _take(where, config, "intermediate_size", int, inner) != inner:
        raise InputError(
            f"{where}: config.json says intermediate_size = {config['intermediate_size']}, but expand x hidden_size is "
            f"{inner}: one of them is wrong."
        )
    epsilon = _take(where, config, "layer_norm_epsilon", float, 1e-5)
    if layer == "mamba2":
        options["eps"] = epsilon
    eos = config.get("eos_token_id", 0 if layer == "mamba" else 2)
    rows = _take(where, config, "vocab_size", int)
    tokens = _take(where, config, "unpadded_vocab_size", int, rows)
    return {
        "d_model": width,
        "n_layers": _take(where, config, "num_hidden_layers", int),
        "vocab_size": tokens,
        "pad_vocab_size_multiple": 1 if tokens == rows else rows,
        "layer": layer,
        "options": {layer: options},
        "norm_eps": epsilon,
        "residual_in_fp32": _take(where, config, "residual_in_fp32", bool, True),
        "tie_embeddings": _take(where, config, "tie_word_embeddings", bool, layer == "mamba"),
        "eos": () if eos is None else tuple(eos) if isinstance(eos, list) else (eos,),
    }


def read_config(where: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a published configuration.

    Args:
        where: the function, for messages.
        config: what stands in ``config.json``, in either layout.
    Returns:
        Arguments of `MambaLM`.
    Raises:
        InputError: it is neither layout, lacks an entry, or tells of something that our layers do not have.
    """
    if "model_type" in config:
        return _from_transformers(where, config)
    if "d_model" in config:
        return _from_mamba_ssm(where, config)
    raise InputError(
        f"{where}: config.json has neither model_type, as transformers writes it, nor d_model, as mamba-ssm does: it "
        "is not the configuration of a Mamba model."
    )


def write_config(arguments: Mapping[str, Any], rows: int) -> dict[str, Any] | None:
    """Tell the arguments of `MambaLM` in transformers' layout.

    Args:
        arguments: of `MambaLM`.
        rows: rows of the embedding, padding included.
    Returns:
        What goes into ``config.json``, or None where the layout has no words for it.
    """
    layers = set(arguments["layer"])
    layer = layers.pop()
    if layers or layer not in MIXERS or arguments["norm"] != "rms" or arguments["mixing"] not in (None, "none"):
        return None
    given = dict(arguments["options"].get(layer, {}))
    epsilon = arguments["norm_eps"]
    if layer == "mamba2" and given.pop("eps", 1e-5) != epsilon:
        return None
    # Defaults are those of mamba-ssm, which are also our layers', but for the width of a head.
    own = {ours: default for ours, (_, default) in _SSM_CFG[layer].items()} | {"head_dim": None}
    options = {ours: given.pop(ours, own[ours]) for ours in _SSM_CFG[layer]}
    if given:
        return None
    d_model, inner = arguments["d_model"], options["expand"] * arguments["d_model"]
    if options.get("dt_rank", 1) is None:
        options["dt_rank"] = -(-d_model // 16)
    if layer == "mamba2":
        options["head_dim"] = head_width("Mamba2", inner, options["head_dim"])
    config = {
        "architectures": [{"mamba": "MambaForCausalLM", "mamba2": "Mamba2ForCausalLM"}[layer]],
        "model_type": layer,
        "hidden_size": d_model,
        "intermediate_size": inner,
        "num_hidden_layers": len(arguments["layer"]),
        "vocab_size": rows,
        "hidden_act": "silu",
        "layer_norm_epsilon": epsilon,
        "residual_in_fp32": arguments["residual_in_fp32"],
        "tie_word_embeddings": arguments["tie_embeddings"],
        "bos_token_id": None,
        "pad_token_id": None,
        "eos_token_id": list(arguments["eos"]) or None,
    }
    if options.get("dt_limit") == (0.0, inf):  # the default, which JSON has no number for
        options.pop("dt_limit")
    config |= {_TRANSFORMERS[layer][ours][0]: value for ours, value in options.items()}
    if layer == "mamba2":
        config["num_heads"] = inner // options["head_dim"]
    if rows != arguments["vocab_size"]:
        config["unpadded_vocab_size"] = arguments["vocab_size"]
    return config
