"""The Countdown task: prompts, the rule that judges an answer, and what an evaluation wants to know of a chain."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from r1kit.answers.expression import equation_holds, read, value_of, written
from r1kit.nano.countdown.problems import (
    CountdownConfig,
    Problem,
    draw_language,
    draw_problem,
    multisets,
    question,
    targets,
)
from r1kit.nano.countdown.rules import OPS, evaluate, vote
from r1kit.nano.words import every
from r1kit.records import Prompt, Sample
from r1kit.seeds import stream
from r1kit.tasks.task import Claims, Grade, Offer, Split, Task

__all__ = ["Countdown", "final_answer"]

_OPENERS = every("try") | every("wait")
_YES, _CHECK, _ANSWER, _SO = every("yes"), every("check"), every("answer"), every("so")
_NUMBER = re.compile(r"[0-9]{1,6}")
_FACTS = {"numbers": r"[0-9]{1,6}(?:[,\s]+[0-9]{1,6})+", "target": r"[0-9]{1,6}"}
_USE, _MAKE = ("|".join(sorted(every(word))) for word in ("use", "make"))
_ASKED = re.compile(rf"(?:{_USE})\s+(?P<numbers>{_FACTS['numbers']})\s+(?:{_MAKE})\s+(?P<target>{_FACTS['target']})")
_SUMMARY = re.compile(r"</think>(.*?)<answer>", re.DOTALL)
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


class Countdown(Task):
    Config = CountdownConfig

    def __init__(self, name: str, config: CountdownConfig) -> None:
        self.name = name
        self.config = config

    def train(self, index: int) -> Prompt:
        problem = draw_problem(stream(self.config.seed, "countdown/train", index), self.config)
        return self._prompt(f"{self.name}/train/{index}", problem)

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's problems, one of every multiset before the second of any, so that a limit keeps clusters."""
        rounds = self.config.dev_targets if split == "dev" else self.config.test_targets
        drawn = [self._drawn(split, multiset, rounds) for multiset in multisets(self.config, split)]
        problems = [problems[turn] for turn in range(rounds) for problems in drawn if turn < len(problems)]
        return [self._prompt(f"{self.name}/{split}/{place}", problem) for place, problem in enumerate(problems[:limit])]

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 if the answer keeps the rules and makes the target exactly, else 0. What is no expression is only wrong."""
        value = evaluate(answer, prompt.facts["numbers"], self.config.rules)
        return Grade(correct=float(value == prompt.facts["target"]), canonical=vote(answer))

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """What the chain did. NaN: does not apply to this completion, so a mean leaves it out.

        ``tries``, ``distinct_tries``: first pairs written after a 'try' or 'wait'. ``arithmetic_right``: share of the
        steps ``a op b = c`` that are right (NaN: no step). ``rechecks``: 'check' words. ``answer_right`` and
        ``valid_numbers``: the final answer, in tags or after the word 'answer', makes the target, or at least uses
        each number once within the rules (NaN: no answer). ``claims_hit``: the chain says yes. ``false_hit``: some
        ``= w yes`` has a w that is not the target (NaN: no such claim). ``right_when_claims``: ``answer_right`` of a
        chain that says yes. ``summary_right``: the summary between chain and answer, ``so 84 = (12 - 5) * 12``, is true
        as it stands (NaN: there is none).
        """
        words, target = text.split(), prompt.facts["target"]
        tried, steps = _first_pairs(words), _steps(words)
        claims = [
            words[place - 1] for place in range(2, len(words)) if words[place] in _YES and words[place - 2] == "="
        ]
        answer, claims_hit = final_answer(text), any(word in _YES for word in words)
        value = None if answer is None else evaluate(answer, prompt.facts["numbers"], self.config.rules)
        right = math.nan if answer is None else float(value == target)
        return {
            "tries": float(len(tried)),
            "distinct_tries": float(len(set(tried))),
            "arithmetic_right": sum(steps) / len(steps) if steps else math.nan,
            "rechecks": float(sum(word in _CHECK for word in words)),
            "valid_numbers": math.nan if answer is None else float(value is not None),
            "answer_right": right,
            "claims_hit": float(claims_hit),
            "false_hit": float(any(word != str(target) for word in claims)) if claims else math.nan,
            "right_when_claims": right if claims_hit else math.nan,
            "summary_right": _summary_right(text),
        }

    @property
    def claims(self) -> Claims:
        return Claims(valid="valid_numbers", keeping="use the given numbers rightly")

    def asked(self, text: str) -> Prompt | None:
        """A question of the user's own, such as ``use 7 1 5 make 34``."""
        found = _ASKED.fullmatch(text.strip()) or _pattern(self.config.question).fullmatch(text.strip())
        if found is None:
            return None
        facts = {
            "numbers": [int(number) for number in _NUMBER.findall(found["numbers"])],
            "target": int(found["target"]),
        }
        return Prompt(id=f"{self.name}/asked", task=self.name, question=text, facts=facts)

    @property
    def languages(self) -> tuple[str, ...]:
        return ("en",) if self.config.question else ("en", "zh", *(("ko",) if self.config.korean_share else ()))

    @property
    def offers(self) -> frozenset[Offer]:
        """Examples are written for what the corpus is."""
        config = self.config
        as_corpus = (config.numbers, config.most or 3, config.divide, config.question) == (3, 3, "none", "")
        return frozenset(("worked_example",)) if as_corpus else frozenset()

    def worked_example(self, language: str, shot: int, longest: int, seed: int) -> Sample:
        from r1kit.nano.countdown.examples import worked_example

        one_language = replace(self.config, chinese_share=float(language == "zh"), korean_share=float(language == "ko"))
        return worked_example(self, self.config, Countdown(self.name, one_language), language, shot, longest, seed)

    def _drawn(self, split: Split, multiset: tuple[int, ...], count: int) -> list[Problem]:
        """A fixed draw of ``count`` targets, fewer where the multiset makes fewer values, the numbers shuffled."""
        rng = stream(self.config.split_seed, f"countdown/{split}/{' '.join(map(str, multiset))}", 0)
        values = list(targets(self.config, multiset))
        problems = []
        for target in rng.sample(values, min(count, len(values))):
            numbers = tuple(rng.sample(multiset, len(multiset)))
            problems.append(Problem(numbers, target, draw_language(rng, self.config)))
        return problems

    def _prompt(self, identity: str, problem: Problem) -> Prompt:
        multiset = tuple(sorted(problem.numbers))
        return Prompt(
            id=identity,
            task=self.name,
            question=question(problem, self.config.question),
            answer=written(targets(self.config, multiset)[problem.target]),
            language=problem.language,
            cluster=" ".join(map(str, multiset)),
            facts={"numbers": list(problem.numbers), "target": problem.target},
        )


def final_answer(text: str) -> str | None:
    """The last ``<answer>...</answer>``, or else what follows the last word 'answer'; None if there is neither."""
    tagged = _TAGGED.findall(text)
    if tagged:
        return str(tagged[-1]).strip()
    words = text.split()
    places = [place for place, word in enumerate(words) if word in _ANSWER]
    return " ".join(words[places[-1] + 1 :]) if places else None


def _first_pairs(words: list[str]) -> list[tuple[str, ...]]:
    """``(a, op, b)`` wherever a 'try' or 'wait' is followed by a first pair."""
    return [
        tuple(words[place + 1 : place + 4])
        for place in range(len(words) - 3)
        if words[place] in _OPENERS and words[place + 2] in OPS
    ]


def _steps(words: list[str]) -> list[bool]:
    """For each ``a op b = c`` whether c is right; the a of a later step of one line may be the c before it."""
    verdicts = []
    for place in range(3, len(words) - 1):
        if place > 3 and words[place - 4] in OPS:  # the end of a longer expression
            continue
        left, op, right, result = words[place - 3], words[place - 2], words[place - 1], words[place + 1]
        if words[place] == "=" and op in OPS and all(_NUMBER.fullmatch(word) for word in (left, right, result)):
            made = read(f"{left} {op} {right}")
            verdicts.append(made is not None and value_of(made) == int(result))
    return verdicts


def _summary_right(text: str) -> float:
    """1 where the summary's own equation holds, 0 where it does not or there is none; NaN without a summary."""
    found = _SUMMARY.search(text)
    words = found[1].split() if found else []
    if not words:
        return math.nan
    claim = " ".join(words[1:] if words[0] in _SO else words)
    return float(equation_holds(claim) is True)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """What a question of a template looks like."""
    pattern = re.escape(template.strip())
    for key, told in _FACTS.items():
        pattern = pattern.replace(re.escape(f"{{{key}}}"), f"(?P<{key}>{told})", 1)
    return re.compile(pattern)
