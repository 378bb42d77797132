"""The nano world's pretraining text: Countdown problems worked in four styles, fact sheets and filler.

A problem document reads ``User: use 11 8 3 make 9 Assistant: <think> try 11 + 8 = 19 , 19 - 3 = 16 high wait 11 - 8 =
3 , 3 + 3 = 6 low 3 * 3 = 9 yes </think> <answer> ( 11 - 8 ) * 3 </answer>``, or without tags (``... answer ( 11 - 8 ) *
3``). Every step is one operation with both of its numbers; the answer is the expression, in brackets where it needs
them. Some documents hold two problems under the heading ``examples``, worked in one style, in tags or not. The styles:

=====  ==================================================================================  =============
style  content                                                                             right answers
=====  ==================================================================================  =============
terse  no work: a random first pair and last step                                          .09
short  one first pair, half of the time with a random last step; commits whatever it made  .14
few    two or three first pairs, then commits                                              .45
long   first pairs until a hit or the end                                                  .99
=====  ==================================================================================  =============

After a first pair come the last steps worth trying on it, each judged low or high; 'wait' marks a change of first pair.
Which last steps are worth trying follows from comparing the pair's value, and the third number, with the target alone.
Held-out number multisets never occur. That mixing languages is more common in longer styles is a choice of this corpus,
and it is what makes language consistency fall under R1-Zero.
"""

from __future__ import annotations

from random import Random

from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import CountdownConfig, Problem, draw_problem, draw_wide_problem, question
from r1kit.nano.countdown.rules import combine
from r1kit.nano.countdown.traces import SLIPS, Trace
from r1kit.nano.styles import STYLES, pick, weighted
from r1kit.nano.words import ASSISTANT, CHINESE, EXAMPLES, FILLER, KOREAN, TAGS, USER
from r1kit.records import Prompt
from r1kit.seeds import stream
from r1kit.tasks.corpus import Corpus

__all__ = ["CountdownCorpus", "vocabulary"]


class CountdownCorpus(Corpus):
    """An endless stream of documents; number ``index`` is a function of the settings and the index alone."""

    Config = CountdownCorpusConfig

    def __init__(self, config: CountdownCorpusConfig) -> None:
        self.config = config

    def document(self, index: int) -> str:
        """Words with one space between, without ``<bos>`` and ``<eos>``: the pretrain stage puts those around it."""
        config, rng = self.config, stream(self.config.seed, "countdown/corpus", index)
        draw = rng.random() - config.filler_share
        if draw < 0:
            return " ".join(pick(rng, FILLER) for _ in range(5 + int(rng.random() * 16)))
        draw -= config.fact_share
        if draw < 0:
            return self._facts(rng)
        if draw < config.comparison_share:
            return self._comparisons(rng)
        style = STYLES[weighted(rng, [config.shares[style] for style in STYLES])]
        tagged = rng.random() < config.tag_share
        if rng.random() < config.double_share:
            return " ".join((EXAMPLES, self._turn(rng, style, tagged), self._turn(rng, style, tagged)))
        return self._turn(rng, style, tagged)

    def _turn(self, rng: Random, style: str, tagged: bool) -> str:
        config = self.config
        wide = rng.random() < config.wide_share
        problem = draw_wide_problem(rng, config.problems, config.wide) if wide else draw_problem(rng, config.problems)
        return f"{USER} {self._asked(rng, question(problem))} {ASSISTANT} {self.response(rng, problem, style, tagged)}"

    def _asked(self, rng: Random, question: str) -> str:
        if not self.config.worded_share or rng.random() >= self.config.worded_share:
            return question
        before = rng.random() < 0.5
        words = " ".join(pick(rng, FILLER) for _ in range(1 + int(rng.random() * 12)))
        return f"{words} {question}" if before else f"{question} {words}"

    def response(self, rng: Random, problem: Problem, style: str, tagged: bool) -> str:
        """What the assistant writes in a problem document of a style."""
        config = self.config
        kinds = config.korean if problem.language == "ko" else config.languages[style]
        trace = Trace(rng, problem, weighted(rng, kinds), config.slips[style], config)
        if style != "terse":
            trace.work(style)
        answer = trace.answer or trace.guessed()
        if tagged:
            return " ".join(("<think>", *trace.words, "</think> <answer>", answer, "</answer>"))
        trace.say("answer")
        return " ".join((*trace.words, answer))

    def shows(self, prompt: Prompt) -> bool:
        """Whether documents may ask these numbers, of any task that gives some."""
        numbers = prompt.facts.get("numbers")
        return numbers is not None and self.config.shows(tuple(sorted(numbers)))

    def vocabulary(self) -> list[str]:
        return vocabulary(self.config.problems)

    def _facts(self, rng: Random) -> str:
        """3 to 8 right steps, any first number, a second one as problems give them."""
        rules, highest = self.config.problems.rules, self.config.problems.highest * (2 if self.config.wide_share else 1)
        facts: list[str] = []
        count = 3 + int(rng.random() * 6)
        while len(facts) < count:
            left, right = int(rng.random() * (rules.limit + 1)), 1 + int(rng.random() * highest)
            op = pick(rng, rules.ops)
            result = combine(left, op, right, rules)
            if result is not None:
                facts.append(f"{left} {op} {right} = {result}")
        return " ".join(facts)

    def _comparisons(self, rng: Random) -> str:
        """4 to 10 values judged against a target; a third of them hit, most others are near."""
        limit, chinese = self.config.problems.limit, rng.random() < 0.5
        said = [CHINESE[word] if chinese else word for word in ("make", "try", "low", "high", "yes")]
        make, attempt, low, high, yes = said
        target = int(rng.random() * (limit + 1))
        words = [make, str(target), attempt]
        for _ in range(4 + int(rng.random() * 7)):
            draw = rng.random()
            value = target if draw < 1 / 3 else int(rng.random() * (limit + 1))
            if 1 / 3 <= draw < 2 / 3:
                value = max(0, min(limit, target + pick(rng, SLIPS)))
            words += [str(value), yes if value == target else low if value < target else high]
        return " ".join(words)


def vocabulary(config: CountdownConfig) -> list[str]:
    """Every word that the corpus and the task's prompts can hold: tags, speakers, operators, numbers, two languages,
    and a third where some problems are in it."""
    numbers = [str(number) for number in range(config.limit + 1)]
    words = [*TAGS, USER, ASSISTANT, EXAMPLES, *config.ops, *"=(),", *numbers, *CHINESE, *CHINESE.values(), *FILLER]
    words += KOREAN.values() if config.korean_share else ()
    return list(dict.fromkeys(words))
