"""Finding chains that turn round and succeed."""

from __future__ import annotations

from r1kit.evals.aha import find_aha
from r1kit.records import Completion, Group, Prompt, Score

TURN = "<think> try 7 + 1 = 8 low wait 7 * 5 = 35 - 1 = 34 yes </think> <answer>7 * 5 - 1</answer>"
STRAIGHT = "<think> try 7 * 5 = 35 - 1 = 34 yes </think> <answer>7 * 5 - 1</answer>"


def group(problem: str, *samples: tuple[str, int]) -> tuple[Group, list[Score]]:
    completions = tuple(
        Completion(token_ids=(), logprobs=(), text=text, finish="stop", version=3) for text, _ in samples
    )
    made = Group(prompt=Prompt(id=problem, task="t", question="use"), prompt_ids=(), completions=completions)
    return made, [Score(total=right, parts={"accuracy": float(right)}) for _, right in samples]


def find(*made: tuple[Group, list[Score]], limit: int = 5, width: int = 160) -> list[str]:
    found = find_aha([each for each, _ in made], [row for _, row in made], limit, width)
    return [f"{moment.prompt_id}/{moment.completion}" for moment in found]


def test_only_right_chains_that_turn_with_work_on_both_sides() -> None:
    assert find(group("p", (TURN, 0), (STRAIGHT, 1), (TURN, 1))) == ["p/2"]
    assert find(group("p", ("wait try 7 + 1 = 8 yes", 1))) == []
    assert find(group("p", ("try 7 + 1 = 8 yes wait", 1))) == []


def test_a_word_in_the_answer_is_no_turn() -> None:
    assert find(group("p", ("<think> try 7 + 1 = 8 </think> <answer> 1 wait 2 3 4 </answer>", 1))) == []


def test_rare_successes_come_first_and_one_a_prompt() -> None:
    easy = group("easy", (TURN, 1), (TURN, 1))
    hard = group("hard", (TURN, 1), (STRAIGHT, 0))
    assert find(easy, hard) == ["hard/0", "easy/0"]
    assert find(easy, hard, limit=1) == ["hard/0"]


def test_what_takes_back_counts_more_than_what_merely_turns() -> None:
    weak = group("weak", (TURN.replace("wait", "but"), 1))
    assert find(weak, group("strong", (TURN, 1))) == ["strong/0", "weak/0"]


def test_rank_and_excerpt_by_hand() -> None:
    made, scores = group("p", (TURN, 1), (TURN, 0))
    moment = find_aha([made], [scores], width=12)[0]
    assert moment.rank == 0.5 + 0.5 * 1 / 4
    assert (moment.word, moment.turns, moment.version) == ("wait", 1, 3)
    assert moment.excerpt == "… 1 = 8 low wait 7 * 5 = 35 …"
