"""Decontamination, the cap a prompt, mixtures, other sources, files that ``datasets`` opens, the data card."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.card import card, card_markdown
from r1kit.factory.decontaminate import EvaluationPrompts, evaluation_prompts
from r1kit.factory.general import General, check_general, general_samples
from r1kit.factory.mixture import mix
from r1kit.factory.publish import apart_from, write_parquet
from r1kit.factory.samples import read_samples, write_samples
from r1kit.factory.select import Candidate, select
from r1kit.factory.sources import samples_from
from r1kit.nano.countdown import Countdown, CountdownConfig
from r1kit.nano.general import General as GeneralTask
from r1kit.nano.general import GeneralConfig
from r1kit.records import Message, Sample

LONG = "a train leaves the first town at nine in the morning and drives to the second town"


def sample(name: str, prompt: str = "", response: str = "r", domain: str = "d", **provenance: Any) -> Sample:
    return Sample(
        id=name, prompt=prompt or name, response=response, domain=domain, provenance={"edits": [], **provenance}
    )


def candidate(name: str, prompt: str, response: str) -> Candidate:
    return Candidate(sample=sample(name, prompt, response), tokens=3, consistency=(0.5, 1.0))


# ---- decontamination ------------------------------------------------------------------------------------------------


def test_ten_words_in_a_row_are_an_overlap_nine_are_not() -> None:
    held = EvaluationPrompts.of([LONG], 10)
    words = LONG.split()
    assert held.overlaps("see: " + " ".join(words[3:13]).upper() + " !")
    assert not held.overlaps(" ".join(words[3:12]) + " and so on and so forth")
    assert held.overlaps("other question", "as " + LONG), "the response is looked at too"


def test_short_questions_match_as_a_whole_and_evened() -> None:
    held = EvaluationPrompts.of(["use 7 1 5 make 34"], 10)
    assert held.overlaps(" Use  7 1 5 make 34")
    assert not held.overlaps("use 7 1 5 make 35")
    assert not held.overlaps("first use 7 1 5 make 34 then rest a while and then go on")


SHORT = "What is 17 times 23?"


@pytest.mark.parametrize(
    "text",
    [
        "Question: What is 17 times 23? Answer:", "what is  17 times 23 ?", "What is 17, times 23",
        "WHAT IS 17 TIMES 23!",
        "What is $17$ times $23$?", r"What is \(17\) times \(23\)?", "Ｗhat is １７ times 23？",
        "**What is 17 times 23?**",
        "Problem:\nWhat is 17\ntimes 23?\n\nSolution:", "Q: What is 17 times 23?\nA: 391\n\nQ: What is 2 times 3?",
        "You are a teacher. What is 17 times 23? Think first.", "Human: what is 17 times 23 Assistant:",
        "- What is 17 times 23?", "> What is 17 times 23?", ">What is 17 times 23?", "1) What is 17 times 23?",
        "* *What is 17 times 23?*", "_What is 17 times 23?_", "(2) What is 17 times 23?", "a) What is 17 times 23?",
        "See:\n  > - What is 17 times 23?\n\nThink.", "### What is 17 times 23", "Problem 4) What is 17 times 23?",
        "Example 3: What is 17 times 23?", "Please answer the following question: What is 17 times 23?",
        "Math: what is 17 times 23? A: 391", "题目：What is 17 times 23?", "Note: easy: What is 17 times 23?",
        "<question>What is 17 times 23?</question>", "[INST] What is 17 times 23? [/INST]",
        "What is <b>17</b> times 23?", "<p>What is 17 times 23</p><p>Think.</p>",
        "<user>\nWhat is 17 times 23?\n</user>",
    ],
)  # fmt: skip
def test_a_short_question_is_found_however_it_is_written(text: str) -> None:
    assert EvaluationPrompts.of([SHORT], 10).overlaps("other", text)


@pytest.mark.parametrize(
    "text",
    [
        "What is 17 times 24?", "What is 17 times 2.3?", "What is -17 times 23?", "What is 17 times 23 plus 1?",
        "17 times 23",
        "What is times", "", "?", "Since what is 17 times 23 was asked, 391.", "What is 1.7 times 23?",
        "- What is -17 times 23?", "Example 3: What is 17 times 24?", "What is: 17 times 23 *",
        "*What is 17* times *24?*", "<b>What is 17</b> times 24?", "[INST] What is 17 times 23 plus 1? [/INST]",
        "What is 17 < times 23 >?",
    ],
)  # fmt: skip
def test_another_short_question_is_not(text: str) -> None:
    assert not EvaluationPrompts.of([SHORT], 10).overlaps(text)


@pytest.mark.parametrize(
    "text",
    [
        LONG.replace(" at", ", at").title() + "?", "Question: " + LONG + " Answer: 12", LONG.replace(" ", "\n"),
        LONG.replace("nine", "$nine$"), LONG.replace("nine", "<em>nine</em>"),
        "So: " + " ".join(LONG.split()[2:13]) + "...", f"“{LONG.upper()}”",
    ],
)  # fmt: skip
def test_a_long_question_is_found_however_it_is_written(text: str) -> None:
    assert EvaluationPrompts.of([LONG], 10).overlaps(text)


def test_signs_of_arithmetic_and_numbers_tell_questions_apart() -> None:
    held = EvaluationPrompts.of(["Solve x + 1 = 1,000 for x", "Is a well-known fact a fact, isn't it?"], 10)
    assert held.overlaps("solve $x+1=1000$ for $x$.")
    assert held.overlaps("is a well known fact a fact; isnt it")
    for other in ("Solve x - 1 = 1000 for x", "Solve x + 1 = 100 for x", "Solve x + 1 = 10.00 for x"):
        assert not held.overlaps(other)


@pytest.mark.parametrize("question", [r"\frac{1}{2}+\frac{1}{3}", r"- \dfrac12 + \tfrac13", r"$\cfrac 1 2+\frac1{3}$"])
def test_the_size_of_a_fraction_and_its_braces_make_no_difference(question: str) -> None:
    for text in (r"Compute: \dfrac{1}{2}+\dfrac{1}{3}", r"\frac12 + \frac13", r"1. \tfrac{1}{2}+\tfrac{1}{3}"):
        held = EvaluationPrompts.of([question], 10)
        assert held.overlaps(text)
        assert not held.overlaps(text.replace("3", "4"))


@pytest.mark.parametrize("piece", ["*a ", ": x", "> ", "- ", "1) ", " \t", "*", "a:", "\\frac", "> \t*"])
def test_no_text_takes_long(piece: str) -> None:
    begun = time.process_time()
    EvaluationPrompts.of([SHORT], 10).overlaps(piece * (50_000 // len(piece)) + "x")
    assert time.process_time() - begun < 2.0  # tenths of a second; squared, it took minutes


def test_what_has_no_words_is_matched_as_it_is() -> None:
    held = EvaluationPrompts.of(["???"], 10)
    assert held.overlaps(" ??? ")
    assert not held.overlaps("", "?")


def test_a_chinese_character_is_a_word() -> None:
    held = EvaluationPrompts.of(["一列火车九点从第一座城开出"], 10)
    assert held.overlaps("已知一列火车九点从第一座的")
    assert not held.overlaps("已知一列火车九点从")


def test_planted_duplicates_of_every_task_s_splits_are_dropped() -> None:
    tasks = {"countdown": Countdown("countdown", CountdownConfig())}
    held = evaluation_prompts(tasks, 10)
    planted = [tasks["countdown"].held_out(split, 3)[2].question for split in ("dev", "test")]  # type: ignore[arg-type]
    fresh = [tasks["countdown"].train(index).question for index in range(50)]
    found = [candidate(f"{at}", question, "r") for at, question in enumerate([*planted, *fresh])]
    kept, dropped = select(found, keep=0, limit=0, seed=1, evaluation=held)
    assert dropped["contaminated"] == 2
    assert {c.sample.prompt for c in kept} == set(fresh)


# ---- select -------------------------------------------------------------------------------------------------------


def test_at_most_so_many_different_responses_a_question() -> None:
    found = [candidate(f"{q}/{r}", q, r) for q in ("q", " Q", "p") for r in ("a", "b", "a", "c")]
    found = [replace(c, sample=replace(c.sample, id=f"{at}")) for at, c in enumerate(found)]
    kept, dropped = select(found, keep=2, limit=0, seed=1)
    assert sorted((c.sample.prompt.strip().lower(), c.sample.response) for c in kept) == [
        ("p", "a"), ("p", "b"), ("q", "a"), ("q", "b"),
    ]  # fmt: skip
    assert dropped["over_keep"] + dropped["duplicate"] == 8


def test_a_limit_takes_every_question_s_first_before_a_second() -> None:
    found = [candidate(f"{q}{r}", q, r) for q in "pqr" for r in "ab"]
    kept, dropped = select(found, keep=0, limit=4, seed=3)
    assert sorted(c.sample.prompt for c in kept[:3]) == ["p", "q", "r"]
    assert len(kept) == 4
    assert dropped == {"over_limit": 2}
    assert select(found, keep=0, limit=4, seed=3)[0] == kept


# ---- mixture ------------------------------------------------------------------------------------------------------

POOL = [sample(f"m{i}", domain="maths") for i in range(60)] + [sample(f"g{i}", domain="general") for i in range(30)]


def count(samples: list[Sample]) -> dict[str, int]:
    return {domain: sum(s.domain == domain for s in samples) for domain in ("maths", "general")}


def test_weights_are_shares_and_nothing_is_repeated() -> None:
    assert count(mix(POOL, {}, 1, "w")) == {"maths": 60, "general": 30}
    assert count(mix(POOL, {"maths": 3, "general": 1}, 1, "w")) == {"maths": 60, "general": 20}
    assert count(mix(POOL, {"maths": 0.5}, 1, "w")) == {"maths": 15, "general": 30}
    assert count(mix(POOL, {"maths": 3, "general": 1}, 1, "w", size=40)) == {"maths": 30, "general": 10}
    assert count(mix(POOL, {"general": 0}, 1, "w")) == {"maths": 60, "general": 0}
    drawn = mix(POOL, {"maths": 3, "general": 1}, 1, "w")
    assert len({s.id for s in drawn}) == 80


def test_a_draw_depends_on_the_seed_alone() -> None:
    drawn = mix(POOL, {"maths": 1}, 1, "w", size=20)
    assert mix(POOL[::-1], {"maths": 1}, 1, "w", size=20) == drawn
    assert mix(POOL, {"maths": 1}, 2, "w", size=20) != drawn


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"maths": 0, "general": 0.0}, r"^stages.x.weights: the weights of .* sum to nothing"),
        ({"math": 1}, r"names 'math', of which there is no sample.*Did you mean 'maths'"),
        ({"maths": -1}, r"stages.x.weights.maths = -1: must be at least 0"),
        ({"maths": float("nan")}, r"must be at least 0"),
    ],
)
def test_weights_that_cannot_be_are_one_line(weights: dict[str, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        mix(POOL, weights, 1, "stages.x.weights")


# ---- other sources -------------------------------------------------------------------------------------------------


def test_the_nano_generator_gives_good_responses_without_a_chain_for_greetings() -> None:
    tasks = {"talk": GeneralTask("talk", GeneralConfig()), "countdown": Countdown("countdown", CountdownConfig())}
    found = general_samples(General(tasks=("talk",), count=60), tasks, seed=1)
    assert {s.domain for s in found} == {"talk"}
    assert len({s.id for s in found}) == 60
    assert found == general_samples(General(tasks=("talk",), count=60), tasks, seed=1)
    greetings = [s for s in found if s.provenance["kind"] == "greeting"]
    assert greetings
    assert {" ".join(s.response.split()[:2]) for s in greetings} == {"<think> </think>"}
    with pytest.raises(InputError, match=r"x.tasks: 'countdown' has no generator"):
        check_general(General(tasks=("countdown",)), tasks, "x")


def test_a_file_of_samples(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text('{"prompt": "hi", "response": "hello !"}\n\n{"prompt": "who", "response": "me", "domain": "qa"}\n')
    found = general_samples(General(path=str(path)), {}, 1)
    assert [(s.id, s.domain, s.provenance["route"]) for s in found] == [
        ("talk/0", "general", "jsonl"), ("talk/1", "qa", "jsonl"),
    ]  # fmt: skip
    assert "kinds" not in card("x", found, dict.fromkeys(("talk/0", "talk/1"), 1), {}, {})["domains"]["qa"]
    assert len(general_samples(General(path=str(path), limit=1), {}, 1)) == 1
    path.write_text('{"prompt": "hi", "response": "hello !"}\n{"prompt": "who"}\n')
    with pytest.raises(InputError, match=r"talk.jsonl:2: no column 'response': the row has 'prompt'"):
        general_samples(General(path=str(path)), {}, 1)
    with pytest.raises(InputError, match=r"x.path = 'gone.jsonl': no such file"):
        check_general(General(path="gone.jsonl"), {}, "x")


# ---- files --------------------------------------------------------------------------------------------------------


def test_samples_come_back_and_a_broken_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    written = [sample("a", response="line\u2028break\nand 对"), sample("b", route="r1_zero")]
    write_samples(path, written)
    assert read_samples(path) == written
    path.write_text(path.read_text().replace('"prompt": "b"', '"prompt": 7'))
    with pytest.raises(InputError, match=r"samples.jsonl:2: 'prompt' must be text that is not blank, got 7"):
        read_samples(path)
    with pytest.raises(InputError, match=r"gone.jsonl: no such file"):
        read_samples(tmp_path / "gone.jsonl")


def test_datasets_opens_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    edit = {"by": "rules", "what": "summary", "detail": "so 4"}
    written = [sample("a"), sample("b", edits=[edit], route="r1_zero", stage="z", version=3, kind="", completion="c")]
    write_samples(tmp_path / "samples.jsonl", written)
    assert write_parquet(tmp_path / "samples.parquet", written)
    for kind, name in (("json", "samples.jsonl"), ("parquet", "samples.parquet")):
        rows = datasets.load_dataset(
            kind, data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert list(rows["id"]) == ["a", "b"]
        assert rows[1]["response"] == "r"
        assert rows[1]["provenance"]["edits"] == [edit]


def test_a_data_set_on_disk_is_a_source(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"ask": "hi", "say": "hello !"}\n{"ask": "who", "say": "me"}\n')
    chosen = General(dataset=str(folder), prompt_column="ask", response_column="say", limit=1)
    (found,) = general_samples(chosen, {}, 1)
    assert (found.prompt, found.response, found.provenance["route"]) == ("hi", "hello !", "dataset")
    with pytest.raises(InputError, match="no column 'prompt': the row has 'ask', 'say'"):
        general_samples(General(dataset=str(folder)), {}, 1)


# ---- the card -----------------------------------------------------------------------------------------------------


def test_the_card_counts() -> None:
    made = [
        sample("a", domain="maths", route="r1_zero", stage="z", version=9, review="automatic"),
        sample(
            "b", domain="maths", route="direct", stage="z", version=9, review="ann", edits=[{"by": "ann", "what": "x"}]
        ),
        sample("c", domain="talk", kind="greeting"),
    ]
    left = {"r1_zero": {"sampled": 8, "right": 4, "language": 1}, "direct": {"sampled": 0, "right": 0}}
    told = card("cold_start", made, {"a": 10, "b": 20, "c": 3}, left, {"keep": 2}, {"duplicate": 1})
    assert told["samples"] == 3
    assert told["mean_tokens"] == 11.0
    assert told["domains"]["maths"] == {"samples": 2, "mean_tokens": 15.0, "rounds": 1.0}
    assert told["domains"]["talk"]["kinds"] == {"greeting": 1}
    assert told["yields"]["r1_zero"]["share"] == {"right": 0.5, "language": 0.25}
    assert told["yields"]["direct"]["share"] == {"right": 0.0}
    assert told["provenance"]["route"] == {"direct": 1, "r1_zero": 1}
    assert told["provenance"]["review"] == {"ann": 1, "automatic": 1}
    assert told["provenance"]["edits"] == {"x by ann": 1}
    text = card_markdown(told, made)
    assert "| maths | 2 | 15.0 | 1.0 |" in text
    assert "| language | 1 | 0.25 |" in text
    assert "Dropped after that: duplicate 1." in text
    json.dumps(told)


# ---- conversations ---------------------------------------------------------------------------------------------------


def talked(name: str, before: str) -> Sample:
    history = (Message(role="user", content=before), Message(role="assistant", content="Yes."))
    return replace(sample(name, "And twice that?", "So many."), history=history)


def test_one_question_behind_other_turns_is_another_one() -> None:
    found = [Candidate(sample=talked(f"c{n}", f"Take {n % 4}."), tokens=3, consistency=(1.0, 1.0)) for n in range(5)]
    kept, dropped = select(found, keep=1, limit=0, seed=1)
    assert {candidate.sample.id for candidate in kept} == {"c0", "c1", "c2", "c3"}
    assert dropped == {"duplicate": 1}


def test_earlier_turns_are_compared_with_evaluation_questions_too() -> None:
    held = EvaluationPrompts.of([LONG], 10)
    found = [Candidate(sample=talked(name, text), tokens=3, consistency=(1.0, 1.0)) for name, text in
             (("a", LONG), ("b", "Take 3."))]  # fmt: skip
    kept, dropped = select(found, keep=0, limit=0, seed=1, evaluation=held)
    assert [candidate.sample.id for candidate in kept] == ["b"]
    assert dropped == {"contaminated": 1}
    assert [one.id for one in apart_from(held, [talked("a", LONG), talked("b", "Take 3.")])] == ["b"]


@pytest.mark.parametrize("name", ["samples.jsonl", "samples.parquet"])
def test_the_files_of_a_stage_keep_earlier_turns_and_are_read_with_them(tmp_path: Path, name: str) -> None:
    samples = [sample("plain"), talked("a", "Take 3.")]
    write_samples(tmp_path / "samples.jsonl", samples)
    write_parquet(tmp_path / "samples.parquet", samples)
    read = samples_from(str(tmp_path / name), Reading())
    assert [one.history for one in read] == [one.history for one in samples]


def test_general_samples_have_ids_of_their_own(tmp_path: Path) -> None:
    """A file and a folder of one name had the same, and the stage that learns from them refused what was published."""
    row = json.dumps({"prompt": "q", "response": "r"}) + "\n"
    (tmp_path / "g").mkdir()
    for file in ("g.jsonl", "g/data.jsonl"):
        (tmp_path / file).write_text(row)
    found = general_samples(General(path=str(tmp_path / "g.jsonl"), dataset=str(tmp_path / "g")), {}, 1)
    assert [one.id for one in found] == ["g/0", "g/0/again/1"]
