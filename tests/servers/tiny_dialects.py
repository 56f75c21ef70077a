"""Makes a llama of 8 MB that recites calls in the syntax of every dialect, for `transformers serve`.

    python -m tests.servers.tiny_dialects FOLDER

It has no layers: the last token alone says which comes next (see recitals.py), so that a turn takes little. It comes
without a description of its syntax, so the server leaves thoughts and calls in the text. Needs torch and transformers
(the extra `servers`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.servers.recitals import END, START, recitals, template
from tests.servers.tiny_model import CONTEXT, make_tokens

WIDTH, HEAD, VOCABULARY, PIECE_BYTES = 256, 16, 6000, 120


def main(arguments: list[str]) -> int:
    """Make the model in the folder named."""
    from transformers import PreTrainedTokenizerFast

    every, folder = recitals(PIECE_BYTES), Path(arguments[0])
    tokens = dialect_tokens(every)
    make_model(tokens, every).save_pretrained(folder)
    kept = PreTrainedTokenizerFast(
        tokenizer_object=tokens, bos_token=START, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )  # fmt: skip
    kept.chat_template = template()
    kept.save_pretrained(folder)
    return 0


def dialect_tokens(every: Mapping[str, Sequence[str]]) -> Any:
    """A tokenizer in which each piece of the recitals is one token."""
    pieces = [piece for recital in every.values() for piece in recital]
    return make_tokens([START, END, *every], pieces, VOCABULARY)


def make_model(tokens: Any, every: Mapping[str, Sequence[str]]) -> Any:
    """A model in which each piece of a recital brings the next one."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    special = {name: tokens.token_to_id(END) for name in ("eos_token_id", "pad_token_id")}
    special["bos_token_id"] = tokens.token_to_id(START)
    config = LlamaConfig(
        vocab_size=-(-tokens.get_vocab_size() // 64) * 64, hidden_size=WIDTH, intermediate_size=HEAD,
        num_hidden_layers=0, num_attention_heads=1, num_key_value_heads=1, head_dim=HEAD,
        max_position_embeddings=CONTEXT, tie_word_embeddings=False, **special,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        directions = torch.randn(config.vocab_size, WIDTH)
        directions[:, 0] = 0.0
        for pieces in every.values():  # the last pieces share a direction, since the same token follows all of them
            directions[tokens.token_to_id(pieces[-2])] = torch.eye(WIDTH)[0]
        directions = torch.nn.functional.normalize(directions, dim=1)
        model.model.embed_tokens.weight.copy_(directions)
        model.lm_head.weight.zero_()
        for before, after in (pair for name, pieces in every.items() for pair in pairwise([name, *pieces])):
            model.lm_head.weight[tokens.token_to_id(after)] = 5.0 * directions[tokens.token_to_id(before)]
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=64, **special)
    return model


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
