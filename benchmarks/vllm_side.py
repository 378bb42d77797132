"""The vLLM side of ``rollout.py``, for the python of an environment of its own; nothing of r1kit is imported.

    python vllm_side.py FOLDER DTYPE SAMPLES ROWS POSITIONS

Each line in asks for a rollout, ``{"prompts": [[...]], "lengths": [...]}``; a line ``tokens N CPU_SECONDS`` answers.
"""

from __future__ import annotations

import json
import os
import sys
import time

for name, value in {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "4",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "HF_HUB_OFFLINE": "1",
}.items():
    os.environ.setdefault(name, value)


def main() -> None:
    import vllm

    folder, dtype, samples, rows, positions = sys.argv[1:]
    engine = vllm.LLM(
        model=folder,
        dtype=dtype,
        enforce_eager=True,
        skip_tokenizer_init=True,
        max_num_seqs=int(rows),
        max_model_len=int(positions),
    )
    for line in sys.stdin:
        asked = json.loads(line)
        prompts = [{"prompt_token_ids": prompt} for prompt in asked["prompts"] for _ in range(int(samples))]
        sampling = [
            vllm.SamplingParams(temperature=1.0, max_tokens=length, ignore_eos=True, detokenize=False)
            for length in asked["lengths"]
        ]
        began = time.process_time()
        done = engine.generate(prompts, sampling, use_tqdm=False)
        took = time.process_time() - began
        print("tokens", sum(len(one.outputs[0].token_ids) for one in done), took, flush=True)


if __name__ == "__main__":
    main()
