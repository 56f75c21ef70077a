"""Makes a MiniMax-M2 of 8 MB that recites: a thought, then a call of `bash` or a sentence, as its prompt's end says.

    python -m tests.servers.tiny_model FOLDER [--random]

No weights are downloaded. Every token has a random direction of its own; the last layer sends each token of a recital
to the next one. Where the recitals part, after the thought, one attention head decides: it finds the one token at the
end of the prompt that names a recital, and adds its direction. `--random` leaves all weights random.
Needs torch and transformers (the extra `servers`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

CONTROL = ["]~!b[", "]~b]", "[e~[", "<|s:call|>", "<|s:words|>"]
TAGS = ["<think>", "</think>", "<minimax:tool_call>", "</minimax:tool_call>"]
START, END = CONTROL[0], CONTROL[2]
THOUGHT = ["First ", "I ", "list ", "the ", "data.\n"]
CALL = [
    "\n\n", "<minimax:tool_call>", '\n<invoke name="', "bash", '">\n<parameter name="', "command", '">ls ', "data",
    "</parameter>\n", '<parameter name="wait_', 'seconds">30', "</param", "eter>\n</invoke>\n", "</minimax:tool_call>",
    END,
]  # fmt: skip
WORDS = ["Nothing ", "new ", "there ", "☀️ café.", END]
RECITALS = {"<|s:call|>": CALL, "<|s:words|>": WORDS}
"""No piece but the last stands in two of them, or twice in one: what follows it would not be known."""

WIDTH, HEADS, HEAD, LAYERS, CONTEXT = 256, 1, 64, 1, 32_768
# The first dimensions of the residual stream are kept for the mechanism; the rest holds the tokens' directions.
ALWAYS, NAMES_ONE, IS_CALL, IS_WORDS, SAYS_CALL, SAYS_WORDS, FREE = 0, 1, 2, 3, 4, 5, 16

READING = {
    "defaults": {"role": "assistant"},
    "start_anchor": "]~b]ai\n",
    "fields": {
        "reasoning_content": {"open": "<think>", "close": "</think>", "content": "text"},
        "tool_calls": {
            "open_pattern": r"\s*(?:<minimax:tool_call>\s*)?<invoke name=\"(?P<name>[^\"]+)\">",
            "close_pattern": r"</invoke>(?:\s*</minimax:tool_call>)?",
            "repeats": True,
            "content": "xml-inline",
            "content_args": {"tag_pattern": r"<parameter name=\"(?P<key>[^\"]+)\">(?P<value>.*?)</parameter>"},
            "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
        },
        "content": {"close_pattern": r"\s*\[e~\[", "content": "text"},
    },
}
"""How `transformers serve` finds thinking and calls in what the model wrote."""


def main(arguments: list[str]) -> int:
    """Make the model in the folder named."""
    folder = Path(arguments[0])
    tokens = make_tokens()
    make_model(tokens, is_random="--random" in arguments).save_pretrained(folder)
    save_tokens(tokens, folder)
    return 0


def make_tokens(
    control: Sequence[str] = CONTROL, pieces: Sequence[str] = (*TAGS, *THOUGHT, *CALL, *WORDS), size: int = 3000
) -> Any:
    """A byte-level tokenizer in which each piece of a recital is one token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    # Words that a window holds, so that it is not many tokens long and quickly read.
    house = Path(__file__).parents[2]
    texts = [path for room in ("context", "tasks", "sandboxes") for path in sorted((house / room).rglob("*.md"))]
    tokens.train_from_iterator([path.read_text(encoding="utf-8") for path in [Path(__file__), *texts]], trainer)
    tokens.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in control])
    plain = [one for one in dict.fromkeys(pieces) if one not in control]
    tokens.add_tokens([AddedToken(one, special=False, normalized=False) for one in plain])
    return tokens


def make_model(tokens: Any, is_random: bool) -> Any:
    """The model, rigged unless it is to be random."""
    import torch
    from transformers import GenerationConfig, MiniMaxM2Config, MiniMaxM2ForCausalLM

    torch.manual_seed(3)
    start, end = tokens.token_to_id(START), tokens.token_to_id(END)
    special = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    config = MiniMaxM2Config(
        vocab_size=-(-tokens.get_vocab_size() // 64) * 64,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 5e6, "partial_rotary_factor": 0.5},
        tie_word_embeddings=False,
        **special,
    )
    model = MiniMaxM2ForCausalLM(config)
    if not is_random:
        with torch.no_grad():
            rig(model, tokens)
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=64, **special)
    return model.to(torch.bfloat16)


def rig(model: Any, tokens: Any) -> None:
    """Set the weights so that the model recites."""
    import torch

    embedding = model.model.embed_tokens.weight
    embedding.zero_()
    directions = torch.nn.functional.normalize(torch.randn(embedding.shape[0], WIDTH - FREE), dim=1)
    embedding[:, FREE:] = directions
    embedding[:, ALWAYS] = 1.0
    for name, dimension in (("<|s:call|>", IS_CALL), ("<|s:words|>", IS_WORDS)):
        embedding[tokens.token_to_id(name), [NAMES_ONE, dimension]] = 1.0
    for number, layer in enumerate(model.model.layers):
        for projection in ("q_proj", "k_proj", "v_proj", "o_proj"):
            getattr(layer.self_attn, projection).weight.zero_()
        for name, weight in layer.mlp.named_parameters():
            if "down_proj" in name:
                weight.zero_()
        if number == 0:
            _rig_head(layer.self_attn)
    _rig_last(model.lm_head.weight, directions, tokens)


def _rig_head(attention: Any) -> None:
    """Every position asks, in a dimension that rotation leaves alone, for the token that names a recital."""
    still = HEAD - 1
    attention.q_proj.weight[still, ALWAYS] = 2.0
    attention.k_proj.weight[still, NAMES_ONE] = 2.0
    for place, (seen, says) in enumerate(((IS_CALL, SAYS_CALL), (IS_WORDS, SAYS_WORDS))):
        attention.v_proj.weight[place, seen] = 1.0
        attention.o_proj.weight[says, place] = 0.12


def _rig_last(weight: Any, directions: Any, tokens: Any) -> None:
    """Each token's direction brings the next token; after the thought, what the head says breaks the tie."""
    weight.zero_()
    followers: dict[str, str] = {}
    for name, recital in RECITALS.items():
        followers |= dict(pairwise([name, *THOUGHT, "</think>"]))
        followers |= dict(pairwise(recital))
    for before, after in followers.items():
        weight[tokens.token_to_id(after), FREE:] += 5.0 * directions[tokens.token_to_id(before)]
    for recital, says in ((CALL, SAYS_CALL), (WORDS, SAYS_WORDS)):
        first = tokens.token_to_id(recital[0])
        weight[first, FREE:] += 5.0 * directions[tokens.token_to_id("</think>")]
        weight[first, says] += 2.5


def save_tokens(tokens: Any, folder: Path) -> None:
    """The tokenizer with its chat template and the way its answers are read."""
    from transformers import PreTrainedTokenizerFast

    kept = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )
    kept.chat_template = Path(__file__).with_name("tiny_chat.jinja").read_text(encoding="utf-8")
    kept.response_template = READING
    kept.save_pretrained(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
