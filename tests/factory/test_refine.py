"""The refiner: one language in the chain, a summary that ends in the answer, every edit noted."""

from __future__ import annotations

from r1kit.factory.refine import Edit, EngineRefiner
from r1kit.nano.countdown.corpus import vocabulary
from r1kit.nano.countdown.problems import CountdownConfig
from r1kit.nano.refine import RuleRefiner, one_language
from r1kit.records import Prompt, Sampling
from r1kit.reward.format import format_reward
from r1kit.rollout.scripted import CodePoints, ScriptedEngine

EN = Prompt(id="p", task="countdown", question="use 5 5 12 make 13", facts={"numbers": [5, 5, 12], "target": 13})
ZH = Prompt(
    id="q", task="countdown", question="用 5 5 12 得 13", language="zh", facts={"numbers": [5, 5, 12], "target": 13}
)
MIXED = "<think> 试 5 + 5 = 10 大了 no 等等 5 * 5 = 25 - 12 = 13 yes </think> <answer> 5 * 5 - 12 </answer>"


def refined(prompt: Prompt, response: str) -> tuple[str, tuple[Edit, ...]]:
    (found,) = RuleRefiner().refine([prompt], [response], [0])
    return found.response, found.edits


def test_a_mixed_chain_becomes_english_with_a_summary() -> None:
    response, edits = refined(EN, MIXED)
    assert response == (
        "<think> try 5 + 5 = 10 high no wait 5 * 5 = 25 - 12 = 13 yes </think> "
        "so 13 = 5 * 5 - 12 <answer> 5 * 5 - 12 </answer>"
    )
    assert edits == (
        Edit(by="rules", what="language", detail="大了 -> high x1, 等等 -> wait x1, 试 -> try x1"),
        Edit(by="rules", what="summary", detail="so 13 = 5 * 5 - 12"),
    )
    assert format_reward(response, "stop", "think_summary") == 1.0


def test_a_mixed_chain_becomes_chinese() -> None:
    response, edits = refined(ZH, MIXED)
    assert response == (
        "<think> 试 5 + 5 = 10 大了 不 等等 5 * 5 = 25 - 12 = 13 对 </think> "
        "所以 13 = 5 * 5 - 12 <answer> 5 * 5 - 12 </answer>"
    )
    assert edits[0].detail == "no -> 不 x1, yes -> 对 x1"


def test_every_word_is_one_that_the_nano_model_knows() -> None:
    for prompt in (EN, ZH):
        assert set(refined(prompt, MIXED)[0].split()) <= set(vocabulary(CountdownConfig()))


def test_what_is_fine_already_is_left_alone() -> None:
    response, _ = refined(EN, MIXED)
    assert refined(EN, response) == (response, ())


def test_a_language_without_a_vocabulary_keeps_its_chain() -> None:
    assert one_language("essaie 5 大了", "fr") == ("essaie 5 大了", {})


def test_what_has_no_chain_or_no_single_answer_cannot_be_refined() -> None:
    for broken in ("5 * 5 - 12", "<think> a </think> b", "<think> a </think> <answer> </answer>"):
        assert refined(EN, broken) == ("", ())


def test_a_prompt_without_a_target_is_summed_up_by_its_answer() -> None:
    plain = Prompt(id="p", task="other", question="2 + 2")
    assert refined(plain, "<think> 4 </think> <answer> 4 </answer>")[0] == (
        "<think> 4 </think> so 4 <answer> 4 </answer>"
    )


def test_a_model_rewrites_the_chain_and_then_sums_it_up() -> None:
    tokenizer = CodePoints()

    def script(prompt: tuple[int, ...], seed: int, row: int) -> str:
        asked = tokenizer.decode(list(prompt))
        return "try, high, yes" if asked.startswith("Translate") else "It is 13. <answer> 5 * 5 - 12 </answer>"

    refiner = EngineRefiner(
        engine=ScriptedEngine(script), encode=tokenizer.encode, sampling=Sampling(max_tokens=99), name="v3"
    )
    (found,) = refiner.refine([EN], [MIXED], [1])
    assert found.response == "<think> try, high, yes </think> It is 13. <answer> 5 * 5 - 12 </answer>"
    assert [(edit.by, edit.what) for edit in found.edits] == [("v3", "chain"), ("v3", "summary")]
    assert "before: 试 5 + 5" in found.edits[0].detail


def test_a_model_that_is_cut_gives_nothing() -> None:
    refiner = EngineRefiner(
        engine=ScriptedEngine(["a long chain"]), encode=CodePoints().encode, sampling=Sampling(max_tokens=4)
    )
    assert refiner.refine([EN], [MIXED], [1])[0].response == ""


def test_a_korean_prompt_gets_a_korean_chain() -> None:
    ko = Prompt(id="k", task="countdown", question="", language="ko", facts={"numbers": [5, 5, 12], "target": 13})
    response, _ = refined(ko, MIXED)
    assert response == (
        "<think> 시도 5 + 5 = 10 크다 아니 잠깐 5 * 5 = 25 - 12 = 13 맞아 </think> "
        "그래서 13 = 5 * 5 - 12 <answer> 5 * 5 - 12 </answer>"
    )
    assert refined(EN, response)[0] == refined(EN, MIXED)[0]
    assert refined(ZH, response)[0] == refined(ZH, MIXED)[0]
