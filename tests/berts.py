"""A BERT small enough for a test: random weights, and the words of the toy datasets' prompts."""

from __future__ import annotations

import re
from pathlib import Path

from tests.toy import INFOS

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tiny_bert(folder: Path, width: int = 32, seed: int = 0) -> Path:
    """Writes one of a single layer into ``folder``, as transformers would."""
    import torch
    from transformers import BertConfig, BertModel

    prompts = [prompt for info in INFOS.values() for prompt in (*info.prompts, *info.classes)]
    words = sorted({word for text in (*prompts, "a photo of soup") for word in re.findall(r"\w+", text)})
    vocabulary = [*SPECIAL, *words, ",", "."]
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=width,
        max_position_embeddings=32,
        initializer_range=0.5,  # far enough apart that another sentence gives another vector
    )
    torch.manual_seed(seed)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    return folder
