"""vLLM in this process: one engine a rank, token ids in and out, our own streams, stop rules and weights.

Rows are requests of their own, so that each has the seed that ``streams.row_seeds`` gives it; a prompt's rows share
its keys and values by vLLM's prefix cache. Stop strings are looked for here, as every engine of ours does, and a row
that has ended is taken out of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from r1kit.errors import InputError, R1Error, first_line
from r1kit.model.weights import Renamed, WeightStream, as_it_is, check_fit
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Ended, all_told
from r1kit.rollout.stopping import Stopping, Tokenizer, check_room, completing_tokens, completion_of
from r1kit.rollout.streams import row_seeds
from r1kit.vllm import process

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["VLLMEngine"]


@dataclass(slots=True)
class _Row:
    """A request in flight."""

    prompt: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False


class VLLMEngine:
    """See ``Engine``, ``Telling`` and ``Bounded``. Weights come by vLLM's four phases, out of this process's memory."""

    def __init__(
        self,
        config: PretrainedConfig,
        weights: WeightStream,
        tokenizer: Tokenizer,
        *,
        positions: int,
        vocab_size: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_rows: int = 256,
        end_ids: Sequence[int] | None = None,
        cache_gb: float = 1.0,
        memory_share: float = 0.5,
        checksums: bool = False,
        ranks: int = 1,
        devices: int = 1,
        published: Renamed = as_it_is,
        **options: Any,
    ) -> None:
        """
        Args:
            config: the hub config of the model.
            weights: that it begins with, as version 0; their names and shapes are those of every later hand-over.
            tokenizer: decodes completions; its end token ends them unless ``end_ids`` says otherwise.
            positions: most tokens of a prompt and its completion.
            vocab_size: tokens that the model knows.
            max_rows: rows in flight; further ones wait.
            cache_gb: of keys and values, on a CPU.
            memory_share: of a GPU's memory that the engine takes, weights and cache together.
            checksums: compare a checksum of every weight of a hand-over.
            ranks: processes of the run, each with an engine of its own.
            devices: that share this one, each driven by a process that vLLM starts; with one rank alone.
            published: see ``LanguageModel.published``.
            options: further arguments of ``vllm.EngineArgs``.
        """
        if max_rows < 1:
            raise InputError(f"max_rows is {max_rows}; give 1 or more rows to hold in flight.")
        self._tokenizer, self._vocab_size, self.positions = tokenizer, vocab_size, positions
        self._device, self._checksums, self._published = torch.device(device), checksums, published
        ends = end_ids if end_ids is not None else [tokenizer.eos_token_id]
        self._ends = tuple(end for end in ends if end is not None)
        self._shapes = {weight.name: weight.shape for weight in self._published(weights).metadata()}
        self._completing: dict[tuple[str, ...], Tensor] = {}
        self._state, self._updating, self._stepping, self._version = "without weights", False, False, 0
        self._running = process.start(
            config,
            self._device,
            cache_gb=cache_gb,
            memory_share=memory_share,
            ranks=ranks,
            devices=devices,
            max_num_seqs=max_rows,
            max_model_len=positions,
            dtype=str(dtype).removeprefix("torch."),
            **options,
        )
        self._engine: Any = self._running.engine
        self._try(config.model_type, weights)

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine.generate``."""
        return all_told(self.generate_each, prompts, sampling, seeds)

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Ended,
    ) -> None:
        """See ``Telling.generate_each``."""
        assert self._engine is not None, "the engine is closed"
        assert self._state != "released", "the engine was released and has no weights yet"
        if self._updating:
            raise R1Error("a hand-over of weights ended in the middle; hand all of them over again before sampling")
        assert self._state == "ready", "the engine has no weights yet"
        assert len(prompts) == len(seeds)
        assert all(len(prompt) for prompt in prompts)
        check_room(prompts, sampling.max_tokens, self.positions)
        stopping = self._stopping(sampling)
        rows: dict[str, _Row] = {}
        left = [sampling.n] * len(prompts)
        try:
            self._ask(rows, prompts, sampling, seeds)
            while self._engine.has_unfinished_requests():
                for output in self._step():
                    row = rows.get(output.request_id)
                    if row is not None and self._grow(row, output, stopping):
                        left[row.prompt] -= 1
                        if not left[row.prompt]:
                            ended(row.prompt, self._group(rows, row.prompt, stopping, sampling.temperature == 0))
        except BaseException:
            self._engine.abort_request([name for name, row in rows.items() if not row.ended])
            raise

    def load_weights(self, stream: WeightStream, version: int) -> None:
        """Hand weights to vLLM, tensor by tensor; the version is set only after the last.

        Raises:
            InputError: they do not fit; nothing was changed.
            R1Error: vLLM did not take them; the engine samples no more until all were handed over again.
        """
        assert self._engine is not None, "the engine is closed"
        assert self._state != "released", "the engine is released: resume() comes first"
        stream = self._published(stream)
        check_fit(self._shapes, stream, "the checkpoint")
        if self._updating:
            self._abort()
        self._updating = True
        self._rpc("start_weight_update")
        for name, tensor in stream:
            if name in self._shapes:
                self._update(name, tensor.detach())
        self._rpc("finish_weight_update")
        self._running.handed += 1
        self._updating, self._version, self._state = False, version, "ready"

    def release(self) -> None:
        """On a GPU vLLM sleeps, its weights and cache dropped; where it cannot, only its weights are void."""
        if self._engine is not None and self._state != "released":
            if self.sleeps:
                self._engine.sleep(2)
            self._state = "released"

    def resume(self) -> None:
        """Ready for ``load_weights``."""
        if self._engine is not None and self._state == "released":
            if self.sleeps:
                process.wake(self._running)
            self._state = "without weights"

    @property
    def sleeps(self) -> bool:
        """See ``Sleeping``: on a GPU, which it shares with the learner of this process."""
        return self._running.sleeps

    @property
    def closed(self) -> bool:
        return self._engine is None

    def close(self) -> None:
        """Give memory back. On a GPU vLLM may sleep on, for the next engine with the same settings."""
        if self._engine is not None:
            self._engine = None
            process.release(
                self._running, asleep=self._state == "released", sound=not (self._updating or self._stepping)
            )

    def _try(self, family: str, weights: WeightStream) -> None:
        """The first weights and a token: what vLLM cannot take, or its kernels compute, shows only then."""
        try:
            self.load_weights(weights, version=0)
            self.generate([[0]], Sampling(n=1, max_tokens=1), [0])
        except BaseException as error:
            self.close()
            if isinstance(error, InputError) or not isinstance(error, R1Error):
                raise
            raise InputError(f'engine = "vllm" cannot run {family} here: {error}') from error

    # ---- one call of generate -------------------------------------------------------------------------------------

    def _stopping(self, sampling: Sampling) -> Stopping:
        if sampling.stop not in self._completing:
            self._completing[sampling.stop] = completing_tokens(self._tokenizer, sampling.stop, self._vocab_size)
        return Stopping(self._tokenizer, sampling, self._ends, self._completing[sampling.stop])

    def _ask(
        self, rows: dict[str, _Row], prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> None:
        """Every row as a request, by its name.

        The salt is new with every hand-over, also where a version comes twice: keys and values of other weights can
        never match it.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._running.calls += 1
        streams = (row_seeds(seeds, sampling.n) & (2**63 - 1)).tolist()
        for index, seed in enumerate(streams):
            prompt = index // sampling.n
            name = f"{self._running.calls}-{index}"
            rows[name] = _Row(prompt)
            parameters = SamplingParams(
                n=1,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=seed,
                max_tokens=sampling.max_tokens,
                stop_token_ids=list(self._ends),
                ignore_eos=True,
                logprobs=0,
                detokenize=False,
                output_kind=RequestOutputKind.DELTA if sampling.stop else RequestOutputKind.FINAL_ONLY,
            )
            asked = {"prompt_token_ids": list(prompts[prompt]), "cache_salt": str(self._running.handed)}
            self._engine.add_request(name, asked, parameters)

    def _step(self) -> Any:
        """What a step drew; one that breaks off leaves ``_stepping`` true, and the engine is not kept."""
        self._stepping = True
        try:
            outputs = self._engine.step()
        except Exception as error:
            raise R1Error(f"vLLM failed: {first_line(error)}") from error
        self._stepping = False
        return outputs

    def _grow(self, row: _Row, output: Any, stopping: Stopping) -> bool:
        """Add what was drawn; whether the row has ended."""
        if row.ended:
            return False
        (new,) = output.outputs
        checked = len(row.tokens)
        row.tokens += new.token_ids
        row.logprobs += [found[token].logprob for token, found in zip(new.token_ids, new.logprobs or (), strict=True)]
        end = stopping.length(row.tokens, checked)
        if end is None and not output.finished:
            return False
        if not output.finished:
            self._engine.abort_request([output.request_id])
        del row.tokens[end:], row.logprobs[end:]
        row.ended = True
        return True

    def _group(self, rows: dict[str, _Row], prompt: int, stopping: Stopping, greedy: bool) -> tuple[Completion, ...]:
        """A prompt's completions. Greedy is a distribution with one token: log-prob 0."""
        return tuple(
            completion_of(
                self._tokenizer,
                stopping,
                row.tokens,
                [0.0] * len(row.tokens) if greedy else row.logprobs,
                self._version,
            )
            for row in rows.values()
            if row.prompt == prompt
        )

    # ---- weights --------------------------------------------------------------------------------------------------

    def _update(self, name: str, tensor: Tensor) -> None:
        sent = tensor.cpu() if self._running.remote else tensor  # by a pipe
        info: dict[str, Any] = {"names": [name], "tensors": [sent], "total": len(self._shapes)}
        if self._checksums:
            from r1kit.vllm.transfer import checksum

            info["checksums"] = [checksum(tensor)]
        self._rpc("update_weights", update_info=info)

    def _rpc(self, phase: str, **arguments: Any) -> None:
        try:
            self._engine.collective_rpc(phase, kwargs=arguments)
        except Exception as error:
            raise R1Error(f"vLLM did not take the weights ({phase}): {first_line(error)}") from error

    def _abort(self) -> None:
        """Close an update that ended in the middle; vLLM answers that it was given up, or that there is none."""
        try:
            self._engine.collective_rpc("update_weights", kwargs={"update_info": {"abort": True}})
        except RuntimeError:
            return
