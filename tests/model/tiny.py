"""Tiny random checkpoints, one folder a family, all with one small byte-level tokenizer.

    python -m tests.model.tiny OUT [FAMILY ...]      (needs torch, transformers, tokenizers; no network)

Every family has 2 layers, hidden size 32 to 64 and a vocabulary of 512 rows for a tokenizer of fewer tokens.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCAB = 512
TEXT = [
    "State the final answer to the following arithmetic problem: 12 + 34 - 5 =",
    "The user asks a question, and the Assistant solves it. <answer> 41 </answer>",
    "use 7 1 5 make 34. try 7 * 5 = 35, then 35 - 1 = 34. yes.",
    "你好，世界。答案是 四十二。 émigré naïve – “quoted” 🙂",
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|pad|>", "<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>", "<|end|>"]


def tokenizer(
    *,
    eos: str | None = "<|im_end|>",
    bos: str | None = None,
    pad: str | None = "<|pad|>",
    template: str | None = CHAT,
    more: tuple[str, ...] = ("<think>", "</think>"),
) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXT * 4, trainer)
    backend.add_tokens([AddedToken(word, normalized=False) for word in more])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=eos,
        bos_token=bos,
        pad_token=pad,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    made.chat_template = template
    return made


BASE = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 4,
    "pad_token_id": 0,
}
GPT = {
    "vocab_size": VOCAB,
    "n_embd": 48,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 512,
    "bos_token_id": None,
    "eos_token_id": 4,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
    "rope_theta": 10000.0,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "rope_theta": 10000.0}
SHARP_YARN = YARN | {"mscale": 0.7, "mscale_all_dim": 0.5}
DEEPSEEK = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 12,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "moe_intermediate_size": 32,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}

# name -> (model_type, settings over BASE; None takes a key away)
FAMILIES: dict[str, tuple[str, dict]] = {
    "llama": ("llama", {}),
    "llama_tied": ("llama", {"tie_word_embeddings": True}),
    "llama_kv1": ("llama", {"num_key_value_heads": 1}),
    "llama_head_dim": ("llama", {"head_dim": 16}),
    "llama_llama3": ("llama", {"rope_parameters": LLAMA3}),
    "llama_yarn": ("llama", {"rope_parameters": YARN}),
    "llama_linear": ("llama", {"rope_parameters": LINEAR}),
    "llama_dynamic": ("llama", {"rope_parameters": DYNAMIC}),
    "llama_bias": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "qwen2": ("qwen2", {}),
    "qwen2_tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2_yarn": ("qwen2", {"rope_parameters": YARN}),
    "qwen2_window": ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3_tied": ("qwen3", {"head_dim": 16, "tie_word_embeddings": True}),
    "qwen3_moe": (
        "qwen3_moe",
        {"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    ),
    "mistral": ("mistral", {"sliding_window": 16}),
    "mistral_full": ("mistral", {"sliding_window": None}),
    "ministral3": ("ministral3", {}),
    "mixtral": ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}),
    "gemma": ("gemma", {"head_dim": 16}),
    "gemma2": ("gemma2", {"head_dim": 16, "sliding_window": 16, "query_pre_attn_scalar": 16}),
    "gemma3_text": (
        "gemma3_text",
        {
            "head_dim": 16,
            "sliding_window": 16,
            "query_pre_attn_scalar": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "phi": ("phi", {}),
    "phi3": ("phi3", {"sliding_window": None}),
    "phi3_longrope": (
        "phi3",
        {
            "hidden_size": 64,
            "sliding_window": None,
            "max_position_embeddings": 256,
            "original_max_position_embeddings": 64,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 8,
                "long_factor": [1.0, 1.5, 2.0, 4.0, 8.0, 12.0, 16.0, 20.0],
                "original_max_position_embeddings": 64,
                "factor": 4.0,
            },
        },
    ),
    "mistral_long": (
        "mistral",
        {
            "sliding_window": None,
            "hidden_size": 64,
            "head_dim": 64,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 16384,
            "rope_theta": 1e6,
        },
    ),
    "olmo2": ("olmo2", {}),
    "olmo2_long": ("olmo2", {"hidden_size": 64, "num_attention_heads": 2, "max_position_embeddings": 16384}),
    "olmo3": ("olmo3", {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}),
    "olmoe": ("olmoe", {"num_experts": 4, "num_experts_per_tok": 2}),
    "deepseek_v3": ("deepseek_v3", DEEPSEEK),
    "deepseek_v3_plain": ("deepseek_v3", DEEPSEEK | {"q_lora_rank": None, "n_group": 1, "topk_group": 1}),
    "deepseek_v3_yarn": (
        "deepseek_v3",
        DEEPSEEK | {"n_routed_experts": 16, "n_group": 4, "topk_group": 2, "rope_parameters": SHARP_YARN},
    ),
    "deepseek_v3_deep": ("deepseek_v3", DEEPSEEK | {"first_k_dense_replace": 3, "num_hidden_layers": 4}),
    "deepseek_v3_tied": (
        "deepseek_v3",
        DEEPSEEK | {"first_k_dense_replace": 0, "tie_word_embeddings": True, "rope_interleave": False},
    ),
    "deepseek_v3_wide": (
        "deepseek_v3",
        DEEPSEEK | {"v_head_dim": 24, "norm_topk_prob": False, "routed_scaling_factor": 2.5},
    ),
    "gpt2": ("gpt2", GPT | {"_replace": True}),
    "gpt_neox": ("gpt_neox", {"num_key_value_heads": None, "rotary_pct": 0.5}),
    "gptj": ("gptj", GPT | {"_replace": True, "rotary_dim": 4}),
    "opt": ("opt", {"intermediate_size": None, "ffn_dim": 96, "num_key_value_heads": None, "word_embed_proj_dim": 48}),
    "bloom": (
        "bloom",
        {
            "intermediate_size": None,
            "n_layer": 2,
            "n_head": 4,
            "num_key_value_heads": None,
            "num_hidden_layers": None,
            "num_attention_heads": None,
            "max_position_embeddings": None,
        },
    ),
    "falcon": (
        "falcon",
        {
            "intermediate_size": None,
            "num_key_value_heads": None,
            "num_kv_heads": 2,
            "new_decoder_architecture": True,
            "alibi": False,
        },
    ),
    "falcon_alibi": (
        "falcon",
        {
            "intermediate_size": None,
            "num_key_value_heads": None,
            "alibi": True,
            "multi_query": True,
            "new_decoder_architecture": False,
        },
    ),
    "mpt": (
        "mpt",
        {
            "_replace": True,
            "vocab_size": VOCAB,
            "d_model": 48,
            "n_layers": 2,
            "n_heads": 4,
            "max_seq_len": 512,
            "eos_token_id": 4,
            "pad_token_id": 0,
            "bos_token_id": None,
        },
    ),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0], "tie_word_embeddings": True}),
    "glm4": ("glm4", {"head_dim": 12}),
    "glm4_moe": (
        "glm4_moe",
        {
            "head_dim": 16,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        },
    ),
    "granite": (
        "granite",
        {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22, "attention_multiplier": 0.1},
    ),
    "granitemoe": ("granitemoe", {"num_local_experts": 4, "num_experts_per_tok": 2, "logits_scaling": 6.0}),
    "cohere": ("cohere", {"logit_scale": 0.0625}),
    "cohere2": ("cohere2", {"logit_scale": 0.0625, "sliding_window": 16}),
    "starcoder2": ("starcoder2", {}),
    "stablelm": ("stablelm", {"hidden_size": 64}),
    "nemotron": ("nemotron", {"head_dim": 12}),
    "arcee": ("arcee", {}),
    "arcee_long": ("arcee", {"hidden_size": 64, "num_attention_heads": 2, "max_position_embeddings": 16384}),
    "apertus": ("apertus", {}),
    "exaone4": ("exaone4", {"head_dim": 12, "sliding_window": 16, "sliding_window_pattern": 2}),
    "ernie4_5": ("ernie4_5", {"head_dim": 12}),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", {"head_dim": 12}),
    "seed_oss": ("seed_oss", {"head_dim": 12}),
    "helium": ("helium", {"head_dim": 12}),
    "gpt_oss": ("gpt_oss", {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16}),
    "nanochat": ("nanochat", {}),
    "mamba": (
        "mamba",
        {
            "intermediate_size": None,
            "num_attention_heads": None,
            "num_key_value_heads": None,
            "max_position_embeddings": None,
            "state_size": 8,
        },
    ),
    "qwen3_next": (
        "qwen3_next",
        {
            "head_dim": 16,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    "lfm2": ("lfm2", {"layer_types": ["conv", "full_attention"]}),
    "bamba": (
        "bamba",
        {
            "attn_layer_indices": [1],
            "mamba_n_heads": 4,
            "mamba_d_head": 24,
            "mamba_expand": 2,
            "mamba_d_state": 8,
            "mamba_n_groups": 1,
        },
    ),
}


EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
PLAIN = {"bos_token_id": None, "eos_token_id": 4, "pad_token_id": 0, "vocab_size": VOCAB}
FAMILIES |= {
    "gpt_neo": (
        "gpt_neo",
        PLAIN
        | {
            "_replace": True,
            "hidden_size": 48,
            "num_layers": 2,
            "num_heads": 4,
            "window_size": 16,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": 512,
        },
    ),
    "gpt_bigcode": ("gpt_bigcode", GPT | {"_replace": True}),
    "codegen": ("codegen", GPT | {"_replace": True, "rotary_dim": 4}),
    "persimmon": ("persimmon", {"num_key_value_heads": None}),
    "xglm": (
        "xglm",
        PLAIN
        | {
            "_replace": True,
            "d_model": 48,
            "ffn_dim": 96,
            "num_layers": 2,
            "attention_heads": 4,
            "max_position_embeddings": 512,
        },
    ),
    "phimoe": ("phimoe", EXPERTS),
    "ernie4_5_moe": ("ernie4_5_moe", {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32}),
    "granitemoeshared": ("granitemoeshared", EXPERTS),
    "diffllama": ("diffllama", {}),
    "qwen2_moe": ("qwen2_moe", EXPERTS | {"shared_expert_intermediate_size": 32}),
    "deepseek_v2": (
        "deepseek_v2",
        {
            "num_key_value_heads": 4,
            "kv_lora_rank": 16,
            "q_lora_rank": None,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 12,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
        },
    ),
    "llama4_text": (
        "llama4_text",
        {"head_dim": 12, "num_local_experts": 2, "intermediate_size_mlp": 64, "attention_chunk_size": 64},
    ),
    "gemma3n_text": (
        "gemma3n_text",
        {
            "head_dim": 16,
            "num_kv_shared_layers": 0,
            "vocab_size_per_layer_input": 512,
            "hidden_size_per_layer_input": 16,
            "laurel_rank": 8,
            "altup_num_inputs": 2,
        },
    ),
    "olmo": ("olmo", {}),
    "flex_olmo": ("flex_olmo", EXPERTS),
    "vaultgemma": ("vaultgemma", {"head_dim": 16, "sliding_window": 16, "query_pre_attn_scalar": 16}),
    "hunyuan_v1_moe": ("hunyuan_v1_moe", {"head_dim": 12, "num_experts": 4, "moe_topk": 2}),
    "afmoe": ("afmoe", EXPERTS | {"head_dim": 12}),
    "solar_open": ("solar_open", EXPERTS | {"head_dim": 12, "n_routed_experts": 4}),
    "bitnet": ("bitnet", {}),
    "openai-gpt": ("openai-gpt", GPT | {"_replace": True}),
    "rwkv": ("rwkv", {"num_key_value_heads": None}),
    "falcon_h1": ("falcon_h1", {}),
    "mamba2": ("mamba2", {"num_heads": 4, "head_dim": 24, "n_groups": 1}),
    "recurrent_gemma": ("recurrent_gemma", {}),
}
"""More of the same kinds: windows, experts, other embeddings, and what cannot be run row beside row."""


def config_of(name: str):
    kind, own = FAMILIES[name]
    own = dict(own)
    settings = {} if own.pop("_replace", False) else dict(BASE)
    settings |= own
    kept = {k: v for k, v in settings.items() if v is not None or k in ("bos_token_id", "sliding_window")}
    return AutoConfig.for_model(kind, **kept)


def spread(model, seed: int, sharp: float = 3.0) -> None:
    """Weights large enough that distributions are not flat; vectors and biases move off 1 and 0 too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, (1.0 / weight.shape[-1]) ** 0.5, generator=generator)
            else:
                weight.add_(torch.randn(weight.shape, generator=generator).to(weight.dtype) * 0.05)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.2)
        model.get_output_embeddings().weight.mul_(sharp)


def write(out: Path, name: str, *, dtype: torch.dtype = torch.float32, tok=None, seed: int = 7) -> Path:
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config_of(name)).eval()
    spread(model, seed, 0.1 if name.startswith("gemma") else 3.0)  # Gemma's norms and embeddings make it sharp already
    folder = out / name
    model.to(dtype).save_pretrained(folder)
    (tok or tokenizer()).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    out, names = Path(sys.argv[1]), sys.argv[2:] or list(FAMILIES)
    made = {}
    for name in names:
        try:
            made[name] = "ok" if write(out, name) else ""
        except Exception as error:  # a family that this transformers cannot build small is told, not hidden
            made[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    print(json.dumps(made, indent=0))
