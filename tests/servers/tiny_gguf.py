"""Makes a llama of 10 MB that recites, as a file for llama.cpp: a thought and a call of `bash`, or plain words.

    python -m tests.servers.tiny_gguf FILE [--dialects]

With `--dialects` it recites the calls of `recitals.py`, in the syntax of every dialect.
No weights are downloaded. Attention and the inner layers add nothing: the last token alone says which comes next, and
the one that the template puts at the end of a prompt says which recital begins. Needs gguf, numpy and tokenizers (the
extra `llama`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.servers.recitals import END as RECITALS_END
from tests.servers.recitals import START as RECITALS_START
from tests.servers.recitals import recitals, template
from tests.servers.tiny_dialects import dialect_tokens
from tests.servers.tiny_model import CALL, CONTEXT, END, START, THOUGHT, WIDTH, WORDS, make_tokens

HEADS, HEAD, LAYERS = 4, 64, 2
CHAINS = (["<|s:call|>", *THOUGHT, "</think>", *CALL], ["<|s:words|>", *WORDS])


def main(arguments: list[str]) -> int:
    """Make the file named."""
    from gguf import GGUFWriter

    writer = GGUFWriter(arguments[0], "llama")
    describe(writer)
    if "--dialects" in arguments:
        every = recitals()
        chains: Sequence[Sequence[str]] = [[name, *pieces] for name, pieces in every.items()]
        tokens = dialect_tokens(every)
        put_tokens(writer, tokens, template(), RECITALS_START, RECITALS_END)
    else:
        chains, tokens = CHAINS, make_tokens()
        put_tokens(writer, tokens, Path(__file__).with_name("tiny_chat.jinja").read_text(encoding="utf-8"), START, END)
    put_weights(writer, tokens, chains)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return 0


def describe(writer: Any) -> None:
    """What shape the model has."""
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(0)


def put_tokens(writer: Any, tokens: Any, chat_template: str, start: str, end: str) -> None:
    """The tokenizer of the other tiny model, and its chat template."""
    from gguf import TokenType

    added = tokens.get_added_tokens_decoder()
    names = sorted(tokens.get_vocab(), key=tokens.token_to_id)
    kinds = [
        TokenType.NORMAL if at not in added else TokenType.CONTROL if added[at].special else TokenType.USER_DEFINED
        for at in range(len(names))
    ]
    writer.add_vocab_size(len(names))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(names)
    writer.add_token_types([int(kind) for kind in kinds])
    merges = json.loads(tokens.to_str())["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_bos_token_id(tokens.token_to_id(start))
    writer.add_eos_token_id(tokens.token_to_id(end))
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template)


def put_weights(writer: Any, tokens: Any, chains: Sequence[Sequence[str]]) -> None:
    """A random direction for each token, and a last layer that sends it to the one that follows."""
    import numpy as np

    draw = np.random.default_rng(5)
    size = (tokens.get_vocab_size(), WIDTH)
    directions = draw.standard_normal(size).astype(np.float32)
    directions[:, 0] = 0.0
    for chain in chains:  # the last pieces share a direction, since the same token follows all of them
        directions[tokens.token_to_id(chain[-2])] = np.eye(WIDTH, dtype=np.float32)[0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    last = np.zeros(size, np.float32)
    for before, after in (pair for chain in chains for pair in pairwise(chain)):
        last[tokens.token_to_id(after)] = 5.0 * directions[tokens.token_to_id(before)]
    nothing, ones = np.zeros((WIDTH, WIDTH), np.float32), np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", directions)
    writer.add_tensor("output.weight", last)
    writer.add_tensor("output_norm.weight", ones)
    for number in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            writer.add_tensor(f"blk.{number}.{name}.weight", nothing)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{number}.{name}.weight", ones)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
