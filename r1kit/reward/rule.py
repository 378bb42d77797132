"""The reward of a completion: a sum of weighted parts (R1 paper, section 2.2; v2, equations 4 and 7).

Pure: no torch, no I/O. It runs inside a verifier process, because a part may hang or crash (``verifier.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from r1kit.records import Prompt, Score
from r1kit.registry import find
from r1kit.reward.accuracy import Accuracy
from r1kit.reward.messages import Job
from r1kit.reward.names import MEASURED, PARTS, logged_names
from r1kit.reward.part import Mark, Reward
from r1kit.reward.settings import RewardConfig
from r1kit.reward.user import UserReward, WrongLengthError
from r1kit.tasks.task import Task

__all__ = ["RewardConfig", "Rules", "failed_score", "score_completion"]

UNSAFE = ("accuracy", "schema")
"""Parts that a completion may take a process down by; they are never asked outside one."""


class Rules:
    """The parts of one task's reward, built once in a verifier process.

    Args:
        watch: called with a user's function (``my_rewards.py:brevity``) and whether it sees the whole group, before it
            runs; with an empty name after it has seen the group.

    Raises:
        InputError: a user's file or function that cannot be used.
    """

    def __init__(
        self, task: Task, config: RewardConfig, watch: Callable[[str, bool], None] = lambda where, grouped: None
    ) -> None:
        self.config, self.watch = config, watch
        self.paid = [(name, weight) for name, weight in config.weights.items() if weight]
        names = dict.fromkeys((*MEASURED, *config.parts))
        self.parts = {logged: _build(name, config, task) for name, logged in logged_names(names).items()}

    def score(self, prompt: Prompt, jobs: Sequence[Job], settled: Collection[int] = ()) -> Iterator[tuple[int, Score]]:
        """(number, score) of each completion of a group, but for the settled ones, as soon as it is known.

        Raises:
            WrongLengthError: a function of a whole group gave another number of values than it got completions.
        """
        shared = self._of_the_group(prompt, jobs)
        for place, job in enumerate(jobs):
            if job.number not in settled:
                yield job.number, self._score(prompt, job, shared, place)

    def answers(self, jobs: Iterable[Job]) -> list[str]:
        """What the task will be asked to grade, in order, without the completions where that is nothing."""
        accuracy = self.parts["accuracy"]
        assert isinstance(accuracy, Accuracy)
        found = (accuracy.answer(job) for job in jobs)
        return [answer for answer in found if answer is not None]

    def _of_the_group(self, prompt: Prompt, jobs: Sequence[Job]) -> dict[str, Sequence[Mark | str]]:
        """Marks of the parts that see a whole group, or why there are none."""
        found: dict[str, Sequence[Mark | str]] = {}
        for name, reward in self.parts.items():
            if reward.grouped:
                self.watch(reward.where, True)
                try:
                    found[name] = reward(prompt, jobs)
                except WrongLengthError:
                    raise
                except BaseException as error:
                    found[name] = [reward.told(error)] * len(jobs)
        if found:
            self.watch("", False)
        return found

    def _score(self, prompt: Prompt, job: Job, shared: Mapping[str, Sequence[Mark | str]], place: int) -> Score:
        parts: dict[str, float] = {}
        abstained: tuple[str, ...] = ()
        answer, cause = None, ""
        for name, reward in self.parts.items():
            mark = shared[name][place] if name in shared else self._mark(reward, prompt, job)
            if isinstance(mark, str):
                cause = cause or mark
                if name in MEASURED:
                    parts[name] = 0.0
                continue
            if mark.value is None:
                abstained += (name,)
            else:
                parts[name] = mark.value
            if mark.more:
                parts |= {f"{name}/{key}": value for key, value in mark.more.items()}
            answer = _writable(mark.answer) if mark.answer else answer
        if self.config.require_format and parts["format"] < 1.0 and "accuracy" in parts:
            parts["accuracy"] = 0.0
        if cause:
            return Score(
                total=0.0, parts=parts, answer=answer, status="ungradable", cause=_cut(cause), abstained=abstained
            )
        return Score(total=self._total(parts), parts=parts, answer=answer, abstained=abstained)

    def _mark(self, reward: Reward, prompt: Prompt, job: Job) -> Mark | str:
        """What a part says of one completion, or why it could not."""
        if reward.where:
            self.watch(reward.where, False)
        try:
            return reward(prompt, (job,))[0]
        except BaseException as error:  # whatever a rule raises on free text costs this completion alone
            return reward.told(error)

    def _total(self, parts: Mapping[str, float]) -> float:
        """What the parts earn. One that abstained is not there, and neither is its weight."""
        total = 0.0
        for name, weight in self.paid:
            unearned = name == "language" and self.config.language_if_correct and parts.get("accuracy", 1.0) < 1.0
            total += weight * (0.0 if unearned else parts.get(name, 0.0))
        return total


def _build(name: str, config: RewardConfig, task: Task) -> Reward:
    found = find(name, PARTS, "reward", "reward.parts")
    built: Reward = found(config, task) if name in PARTS else UserReward(found, name)
    return built


def score_completion(
    task: Task, prompt: Prompt, completion_text: str, finish: str, config: RewardConfig, length: int = 0
) -> Score:
    """Judge one completion here and now, without a deadline.

    Args:
        task: judges the answer; what it raises makes the score ``ungradable``.
        prompt: the problem.
        completion_text: special tokens kept, end token left out.
        finish: ``stop`` or ``length``.
        config: what is paid.
        length: of the completion in tokens.

    Returns:
        A score with the unweighted parts, their weighted sum, and the canonical answer for majority votes (None where
        there is no complete answer).
    """
    job = Job(0, config.whole(completion_text), finish, length)
    return next(Rules(task, config).score(prompt, (job,)))[1]


def failed_score(
    prompt: Prompt,
    text: str,
    finish: str,
    config: RewardConfig,
    status: Literal["ungradable", "timeout"],
    cause: str,
    length: int = 0,
) -> Score:
    """What a completion gets that took its process down: reward 0, its form still measured, a one-line cause.

    Runs in the parent without a deadline: but for ``UNSAFE``, a part of ours takes time linear in the text.
    """
    parts = {name: 0.0 for name in UNSAFE if name in MEASURED or name in config.parts}
    for name in dict.fromkeys((*MEASURED, *config.parts)):
        if name in PARTS and name not in UNSAFE:
            mark: Mark = find(name, PARTS, "reward")(config, None)(prompt, (Job(0, text, finish, length),))[0]
            parts[name] = mark.value or 0.0
    return Score(total=0.0, parts=parts, status=status, cause=_cut(cause))


def _cut(cause: str) -> str:
    return _writable(" ".join(cause.split())[:200])


def _writable(text: str) -> str:
    """With halves of surrogate pairs, which no file can hold, as question marks; a task may make one."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
