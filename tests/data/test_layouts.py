"""Each layout from one written row: what is taken as prompt, answer, response, system prompt, pair, label, text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.data.layouts import read_examples
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.records import Message
from tests.data.rows import ASSISTANT, ROWS, SYSTEM, USER, read


@pytest.mark.parametrize("name", ROWS)
def test_each_layout_is_recognised_by_name(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, ROWS[name])[0].layout.name == name


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("GSM8K", "A hen lays 2 eggs a day. A week?", "14"),
        ("MATH", "Half of 1?", "\\frac{1}{2}"),
        ("NuminaMath", "2 + 3?", "5"),
        ("OpenR1-Math", "2 + 3?", "5"),
        ("DeepScaleR", "2 + 3?", "5"),
        ("Big-Math", "2 + 3?", "5"),
        ("DAPO-Math, verl", "How many legs have 3 ants?", "18"),
    ],
)
def test_maths_layouts(tmp_path: Path, name: str, question: str, answer: str) -> None:
    example = read(tmp_path, ROWS[name], "answers")[1]
    assert (example.question, example.answer, example.before) == (question, answer, ())


def test_a_long_column_is_no_fact(tmp_path: Path) -> None:
    example = read(tmp_path, ROWS["OpenR1-Math"], "answers")[1]
    assert example.facts["uuid"] == "u1"
    assert "generations" not in example.facts


DATE = {"day": "5", "month": "May", "year": "1990"}

NO_DATE = {"day": "", "month": "", "year": ""}


@pytest.mark.parametrize(
    ("row", "answer", "also"),
    [
        ({"answers_spans": {"spans": ["4"], "types": ["number"]}}, "4", ()),
        ({"answers_spans": {"spans": ["a b", "c", "a b"], "types": ["span"] * 3}}, "a b", ("c",)),
        ({"answer": {"number": "3", "date": NO_DATE, "spans": []}}, "3", ()),
        ({"answer": {"number": "", "date": DATE, "spans": []}}, "5 May 1990", ()),
        ({"answer": {"number": "", "date": {**NO_DATE, "year": "1990"}, "spans": []}}, "1990", ()),
        ({"answer": {"number": "", "date": NO_DATE, "spans": ["a", "b"]}}, "a, b", ("b, a",)),
        ({"answer": {"number": "3", "date": NO_DATE, "spans": []},
          "validated_answers": [{"number": "4", "date": NO_DATE, "spans": []}]}, "3", ("4",)),
        ({"answer": {"number": "3", "date": NO_DATE, "spans": []},
          "validated_answers": {"number": ["", "3"], "date": [DATE, NO_DATE], "spans": [[], []]}},
         "3", ("5 May 1990",)),
    ],
)  # fmt: skip
def test_drop(tmp_path: Path, row: dict[str, Any], answer: str, also: tuple[str, ...]) -> None:
    example = read(tmp_path, {"passage": "They ran.", "question": "Who?", **row}, "answers")[1]
    assert (example.question, example.answer, example.also) == ("They ran.\n\nWho?", answer, also)


def test_labels_and_true_sentences_are_no_answers_and_the_line_says_what_to_write(tmp_path: Path) -> None:
    for label, wants in ((1, "as it stands"), ("0", "as it stands"), (True, "yes or no")):
        with pytest.raises(InputError, match=rf"'label' is {label}, .*answer = \"label\"}}, which wants it {wants}"):
            read(tmp_path, {"question": "Is it?", "label": label}, "answers")
    open_question = {
        "question": "q?",
        "best_answer": "No.",
        "correct_answers": ["No.", "Never."],
        "incorrect_answers": [],
    }
    with pytest.raises(InputError, match=r"TruthfulQA's open questions.*rule = \"none\".*answer = \"correct_answers\""):
        read(tmp_path, open_question, "answers")
    assert read(tmp_path, open_question, "responses")[1].response == "No."


HOTPOT = [["T", ["a. ", "b."]], ["U", ["c."]]]


@pytest.mark.parametrize(
    ("row", "question", "answer"),
    [
        ({"pubid": 1, "question": "q", "context": {"contexts": ["a.", "b."], "labels": ["X", "Y"]}, "long_answer": "l",
          "final_decision": "maybe"}, "a.\n\nb.\n\nq", "maybe"),
        ({"question": "q", "passage": "p", "idx": 0, "label": 1}, "p\n\nq", "yes"),
        ({"question": "q", "passage": "p", "idx": 0, "label": 0}, "p\n\nq", "no"),
        ({"question": "q", "passage": "p", "idx": 0, "label": -1}, "", "'label' is -1, which stands for a missing"),
        ({"question": "q", "passage": "p", "label": 1}, "", "'label' is 1, and nothing says"),
        ({"question": "q", "answer": "d", "context": HOTPOT}, "T: a. b.\n\nU: c.\n\nq", "d"),
        ({"question": "q", "answer": "d", "context": {"title": ["T"], "sentences": [["a."]]}}, "T: a.\n\nq", "d"),
        ({"question": "q", "answer": "d", "context": ["a", "b"]}, "a\n\nb\n\nq", "d"),
        ({"question": "q", "answer": "d", "context": ["a", " ", "b"]}, "a\n\nb\n\nq", "d"),
        ({"question": "q", "answer": "d", "context": [1, 2]}, "q", "d"),
        ({"question": "q", "answer": "d", "context": []}, "q", "d"),
    ],
)  # fmt: skip
def test_paragraphs_and_verdicts(tmp_path: Path, row: dict[str, Any], question: str, answer: str) -> None:
    """PubMedQA, SuperGLUE's BoolQ, HotpotQA as its file and as the hub have it."""
    if not question:
        with pytest.raises(InputError, match=answer):
            read(tmp_path, row, "answers")
        return
    example = read(tmp_path, row)[1]
    assert (example.question, example.answer) == (question, answer)


def test_what_a_question_is_about_stands_before_it(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    asked = {"question": "Does it rain", "answer": True}
    rows = [
        {**asked, "passage": None},
        {**asked, "passage": "Clouds."},
        {**asked, "answer": False, "passage": {"a": 1}},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second, third = read_examples(str(file), "answers", Reading())
    assert [first.question, second.question, third.question] == [
        "Does it rain", "Clouds.\n\nDoes it rain", "Does it rain",
    ]  # fmt: skip
    assert [first.answer, third.answer] == ["yes", "no"]
    with pytest.raises(InputError, match=r"name one, as answer\.value"):
        read(tmp_path, {"question": "q", "answer": {"value": "5", "unit": "m"}}, "answers")
    assert read(tmp_path, asked, "responses")[1].response == "yes"


@pytest.mark.parametrize(
    ("row", "right"),
    [
        ({"question": "q", "answer": ["a", " b ", "a"]}, "ab"),  # NQ-open
        ({"question": "q", "answer": ["a"]}, "a"),
        (
            {"question": "q", "question_source": "x", "search_results": {"rank": []}, "answer": {
                "aliases": ["A", "b"], "normalized_aliases": ["a", "b"], "type": "x", "value": "a",
            }}, "aAb",
        ),  # TriviaQA
        ({"title": "t", "question": "q", "answers": {"text": ["a", "a", "b"], "answer_start": [1]}}, "ab"),  # SQuAD
        ({"url": "u", "question": "q", "answers": ["a", "b"]}, "ab"),  # WebQuestions
        ({"subj": "s", "obj": "a", "question": "q", "possible_answers": '["a", "b"]'}, "ab"),  # PopQA
        ({"question": "q", "golden_answers": ["a", "b"], "metadata": {}}, "ab"),  # FlashRAG
        ({"prompt": [{**USER, "content": "q"}], "reward_model": {"ground_truth": {"target": ["a", "b"]}}}, "ab"),
        ({"question": "q", "answer": "a", "answer_aliases": ["b"], "paragraphs": []}, "ab"),  # MuSiQue
        ({"question": "q", "answers": [{"text": "a", "tokens": ["a"]}, {"text": "b"}]}, "ab"),  # NarrativeQA
        ({"question": "q", "answer": "['a', 'b']"}, ["['a', 'b']"]),  # a text, as a program may print it
    ],
)  # fmt: skip
def test_any_of_several_answers(tmp_path: Path, row: dict[str, Any], right: Any) -> None:
    example = read(tmp_path, row)[1]
    assert (example.question, [example.answer, *example.also]) == ("q", list(right))
    if "reward_model" not in row:
        assert read(tmp_path, row, "responses")[1].response == right[0]


def test_a_row_without_any_of_several_answers_is_told_or_left_out(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    found = [{"text": ["a"]}, {"text": []}, {"text": ["<unk>"]}, {"text": ["b"]}]
    file.write_text("".join(json.dumps({"question": "q", "answers": each}) + "\n" for each in found))
    with pytest.raises(InputError, match=r"rows\.jsonl:2: 'answers' holds no answer: .*leaves such lines out$"):
        list(read_examples(str(file), "answers", Reading()))
    kept = read_examples(str(file), "answers", Reading(bad_lines="skip"))
    assert [example.answer for example in kept] == ["a", "b"]


def test_a_chat_is_what_stands_before_a_question_and_a_response(tmp_path: Path) -> None:
    example = read(tmp_path, ROWS["messages"], "responses")[1]
    assert (example.question, example.response) == (USER["content"], ASSISTANT["content"])
    assert example.before == (Message(role="system", content="Be brief."),)
    assert [turn.role for turn in example.messages] == ["system", "user", "assistant"]


def test_a_column_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'anser': the row has 'answer', ") as caught:
        read(tmp_path, ROWS["DeepScaleR"], columns={"answer": "anser"})
    assert "\n" not in str(caught.value)


CHAT = {"role": "user", "content": "1 + 1?"}


@pytest.mark.parametrize(
    ("row", "question", "answer"),
    [
        ({"question": "q", "answer": "5"}, "q", "5"),
        ({"Problem": "p", "Answer": 5, "ID": "x"}, "p", "5"),
        ({"id": 1, "problem": "p", "answer": 142.0, "url": "u"}, "p", "142.0"),
        ({"problem": "p", "generated_solution": "g", "expected_answer": "5"}, "p", "5"),
        ({"question": "q", "final_answer": ["2"], "solution": ["long"]}, "q", "2"),
        ({"question": "q", "answer": None, "answer_number": 9}, "q", "9"),
        ({"question": "q", "prompt": "q", "answer": "5"}, "q", "5"),  # they say the same
        ({"question": "q", "answer": "so \\boxed{5}, " + "as one sees " * 9}, "q", "5"),
        ({"problem": "p", "solution": "\\boxed 12."}, "p", "12"),
        ({"problem": "p", "solution": "\\(\\boxed7\\)"}, "p", "7"),
        ({"problem": "p", "solution": "\\boxed{5}", "answer": "", "choices": []}, "p", "5"),
        ({"problem": "p", "solution": "first \\boxed{1}, then \\fbox{\\{1, 2\\}}"}, "p", "\\{1, 2\\}"),
        ({"instruction": "Add.", "input": "1 and 1", "answer": "2"}, "Add.\n\n1 and 1", "2"),
        ({"body": "Al has 3.", "question": "And 2 more?", "answer": "5"}, "Al has 3.\n\nAnd 2 more?", "5"),
        ({"prompt": [CHAT], "reward_model": {"ground_truth": '["2"]'}}, "1 + 1?", "2"),
        ({"prompt": "p", "answer": "[7]"}, "p", "[7]"),
        ({"prompt": "p", "answer": "[[1, 2]]"}, "p", "[[1, 2]]"),
        ({"prompt": [CHAT], "reward_model": '{"ground_truth": 0.10}'}, "1 + 1?", "0.10"),
        ({"prompt": json.dumps([CHAT]), "reward_model": "{'ground_truth': '2'}"}, "1 + 1?", "2"),
        ({"prompt": [CHAT], "label": "2"}, "1 + 1?", "2"),
        ({"prompt": "p", "label": "so\n#### 5", "metadata": {}}, "p", "5"),
        ({"problem": "p", "gt": 5}, "p", "5"),
        ({"question": "q", "Golden": "5", "ans": "5"}, "q", "5"),
        ({"query": "q", "golden_answer": ["5"]}, "q", "5"),
        ({"inputs": "p", "targets": "5"}, "p", "5"),
        ({"Input": "p", "Target": "5", "id": 7}, "p", "5"),
        ({"problem": "p", "solution": "\\boxed{5}", "gt": "6"}, "p", "5"),  # what was read before
        ({"prompt": "p", "answer": "5", "label": "x", "gt": "6"}, "p", "5"),
        ({"prompt": "p", "answer": "NaN"}, "p", "NaN"),  # of a question about numbers of a machine
        ({"prompt": "p", "verification_info": '{"ground_truth": "5"}', "task_type": "math"}, "p", "5"),
        ({"body": "b", "question": "q", "answer": "9 (apples)", "formula": "7+2=9"}, "b\n\nq", "9"),
        ({"question": "q", "answer": "f (x)"}, "q", "f (x)"),
        ({"question": "q", "answer": "assert oneself"}, "q", "assert oneself"),
        ({"prompt": "p", "answer": "None"}, "p", "None"),
        ({"prompt": "p", "solution": "34", "reward_model": {"ground_truth": "34"}, "source_prompt": [CHAT]}, "p", "34"),
    ],
)
def test_columns_as_people_name_them(tmp_path: Path, row: dict[str, Any], question: str, answer: str) -> None:
    example = read(tmp_path, row, "answers")[1]
    assert (example.question, example.answer) == (question, answer)


@pytest.mark.parametrize("text", ["[1, 2]", '["a", "b"]', '[{"role": "user"}]', '{"role": "x", "content": "y"}'])
@pytest.mark.parametrize(
    "row",
    [
        {"history": "q", "labels": 1, "human_ref_A": "", "human_ref_B": "w"},
        {"prompt": "q", "preference_strength": -1, "response_1": "", "response_2": "w"},
        {"context": [USER], "overall_preference": -1, "response1": "", "response2": "w"},
        {"prompt": "q", "better_response_id": 0, "response_0": "", "response_1": "w"},
        {"question": "q", "response_A": "", "response_B": "w", "label": "A>B"},
    ],
)
def test_a_response_that_looks_like_a_list_is_a_text(tmp_path: Path, row: dict[str, Any], text: str) -> None:
    """Only Chatbot Arena's and LMSYS's responses are chats and lists."""
    filled = {name: text if value == "" else value for name, value in row.items()}
    example = read(tmp_path, filled, "pairs")[1]
    assert (example.chosen, example.rejected) == (text, "w")


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"messages": [SYSTEM, USER, ASSISTANT, USER, ASSISTANT]}, "system user assistant user assistant"),
        ({"messages": json.dumps([USER, ASSISTANT])}, "user assistant"),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": [], "function_call": {"name": None}}]}, "user assistant"),
        ({"conversations": ["q", "a", "q", "a"]}, "user assistant user assistant"),
        ({"system": "s", "conversations": ["q", "a"]}, "system user assistant"),
        ({"input": [USER], "output": "a", "system_prompt": "s", "category": "math"}, "system user assistant"),
        ({"prompt": [USER], "completion": [ASSISTANT]}, "user assistant"),
        ({"instruction": "i", "context": "c", "response": "r"}, "user assistant"),
        ({"question": "q", "answer": ["We add.\n#### 5"]}, "user assistant"),  # learnt as it stands
        ({"inputs": "i", "targets": "r"}, "user assistant"),
        ({"input": "i", "target": "r"}, "user assistant"),
        ({"problem": "p", "solution": "s", "answer": "a", "messages": [USER, ASSISTANT]}, "user assistant"),
    ],
)  # fmt: skip
def test_chats(tmp_path: Path, row: dict[str, Any], turns: str) -> None:
    example = read(tmp_path, row, "responses")[1]
    assert " ".join(turn.role for turn in example.messages) == turns
    assert example.response == example.messages[-1].content


def test_thinking_and_parts_of_a_turn(tmp_path: Path) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "1 + "}, {"type": "text", "text": "1?"}]}
    thought = {"role": "assistant", "content": "2", "reasoning_content": "Two ones."}
    example = read(tmp_path, {"messages": [parts, thought]}, "responses")[1]
    assert (example.question, example.response) == ("1 + 1?", "<think>\nTwo ones.\n</think>\n\n2")


@pytest.mark.parametrize(
    ("label", "found"), [(True, True), (False, False), (1, True), (0.0, False), ("unsafe", False), ("Yes", True)]
)
def test_labels(tmp_path: Path, label: object, found: bool) -> None:
    assert read(tmp_path, {"prompt": "p", "completion": "c", "label": label}, "labels")[1].label is found


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"prompt": "p", "completion": "c", "label": "safe"}, "labels"),
        ({"prompt": "p", "chosen": "c", "rejected": "r", "label": "x", "gt": "5"}, "pairs"),
        ({"question": "q", "response": "r", "gt": "5"}, "responses"),
        ({"instruction": "q", "input": "i", "output": "o", "target": None}, "responses"),
    ],
)
def test_columns_that_are_called_as_other_things_too_change_no_other_layout(
    tmp_path: Path, row: dict[str, Any], wanted: Any
) -> None:
    assert read(tmp_path, row)[0].layout.wanted == wanted


@pytest.mark.parametrize(
    ("row", "wanted", "told"),
    [
        ({"q": "1", "a": "2"}, "answers", r"no column for the prompt .*the row has 'q', 'a'; name one: columns ="),
        ({"prompt": "p", "anser": 2}, "answers", r"no column for the answer .*the row has 'prompt', 'anser'"),
        ({"prompt": "p", "answer": None}, "answers", r"the row has 'prompt', 'answer' \(null\)"),
        ({"prompt": "p", "question": "q", "answer": 2}, "answers", "'prompt' and 'question' could each be the prompt"),
        ({"prompt": "p", "answer": 2, "gold": 3}, "answers", "'answer' and 'gold' could each be the answer"),
        ({"text": "x", "content": "y"}, "text", "'text' and 'content' could each be the text"),
        ({"problem": "p", "solution": "s", "answer": "proof"}, "answers", "nothing that an answer could equal"),
        ({"problem": "p", "solution": "no box"}, "answers", r"no \\boxed"),
        ({"question": "q", "answer": "5\n####"}, "answers", "nothing follows ####"),
        ({"question": "q", "answer": {"value": 1}}, "answers", "an object with value; name one, as answer.value"),
        ({"question": "q", "choices": ["x", "y"], "answer": 7}, "answers", "a choice's letter, number from 0 or text"),
        ({"question": "q", "choices": ["x"], "answer": 0}, "answers", "a list of 2 to 26 choices"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "responses", 'is by "narrator"; roles are system'),
        ({"messages": [{"role": "user", "content": None}]}, "responses", r"'messages\[0\]' must be text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "responses", "a part that is no text"),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": [{"id": 1}]}]}, "responses", r"messages\[1\] calls a tool"),
        ({"messages": [USER, {**ASSISTANT, "function_call": {"name": "f"}}]}, "responses", r"\[1\] calls a tool"),
        ({"messages": []}, "responses", "must be a chat"),
        ({"chosen": [USER, ASSISTANT], "rejected": [SYSTEM, ASSISTANT]}, "pairs", "answers another conversation"),
        ({"chosen": [ASSISTANT, USER], "rejected": [USER]}, "pairs", "ends with the user's turn"),
        ({"prompt": "p", "completion": "c", "label": 2}, "labels", "must be true or false, got 2"),
        ({"prompt": "p", "entry_point": "f", "test": "t"}, "answers", 'write kind = "code/humaneval"'),
        ({"text": "x"}, "pairs", "no column for the chosen"),
        ({"problem": "p", "answer": "nan"}, "answers", "'answer' is the text 'nan', which stands for a missing value"),
        ({"question": "q", "answer": "<NA>"}, "answers", "'answer' is the text '<NA>', which stands for a missing"),
        ({"prompt": "p", "label": True}, "answers", "'label' is True, and nothing says"),
        ({"prompt": "p", "label": 1}, "answers", "'label' is 1, and nothing says"),
        ({"question": "q", "label": "5"}, "answers", "no column for the answer"),
        ({"prompt": "p", "completion": "c", "label": "5"}, "answers", "no column for the answer"),
        ({"problem": "p", "gt": "5", "ans": "6"}, "answers", "'gt' and 'ans' could each be the answer"),
        ({"inputs": "p"}, "answers", "no column for the prompt"),
        (
            {"prompt": "p", "reward_model": {"ground_truth": '{"inputs": ["1"], "outputs": ["2"]}'}},
            "answers",
            "tests of a",
        ),
        (
            {"prompt": "p", "reward_model": {"ground_truth": '["assert f(1) == 2"]'}},
            "answers",
            "holds tests of a program",
        ),
        (
            {"paragraph": "t", "question": "q", "answer": "a", "idx": {}, "label": 0},
            "answers",
            "right or wrong as 'label'",
        ),
        ({"question": "q", **dict(zip("ABCD", "wxyz", strict=True)), "answer": 7}, "answers", "'answer' is 7 in all"),
        ({"question": "p", "targets": "5"}, "answers", "no column for the answer"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, row: dict[str, Any], wanted: Any, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        read(tmp_path, row, wanted)
    assert f"{tmp_path}/rows.jsonl:1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("meta.gold", None), ("meta.list[-1].gold", None), ("meta.json.gold", None), ("a.b", None),
        ("meta.golf", "meta has 'gold', "), ("meta.list[2]", r"meta.list has 1 item"), ("meta[0]", "meta is no list"),
        ("meta.gold.x", "meta.gold is no object"), ("met", "the row has 'meta', "), ("[", "is no path"),
        ("", "is no path"), ("a..b", "is no path"),
    ],
)  # fmt: skip
def test_paths(tmp_path: Path, path: str, told: str | None) -> None:
    row = {"prompt": "p", "meta": {"gold": 7, "list": [{"gold": 7}], "json": '{"gold": 7}'}, "a.b": 7}
    if told is None:
        assert read(tmp_path, row, "answers", columns={"answer": path})[1].answer == "7"
        return
    with pytest.raises(InputError, match=told):
        read(tmp_path, row, "answers", columns={"answer": path})
    with pytest.raises(InputError, match=r"no role 'answr'.*Did you mean 'answer'"):
        Reading(columns={"answr": path})


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("NuminaMath", {"source": None, "problem": "p", "solution": "no box"}, r"rows.jsonl:2: no \\boxed"),
        ("DeepScaleR", {"problem": "p", "answer": None, "solution": "\\boxed{5}"}, ":2: no 'answer', it is null"),
        ("DeepScaleR", {"problem": "p", "solution": "\\boxed{5}"}, "two layouts in one source: .*:1 holds DeepScaleR"),
        ("DeepScaleR", {"question": "p", "answer": "5"}, r":2 question and answer \(question, answer\)"),
        ("GSM8K", {"question": "p", "answer": "5"}, "two layouts in one source"),
        ("MMLU", {"question": "p", "answer": "5"}, "two layouts in one source: .*:1 holds MMLU"),
        ("MMLU", {"question": "p", "choices": ["a", "b"], "answer": 9}, "rows.jsonl:2: 'answer' must be a choice's"),
    ],
)  # fmt: skip
def test_a_bad_row_is_not_another_layout(tmp_path: Path, first: str, second: dict[str, Any], told: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROWS[first]) + "\n" + json.dumps(second) + "\n")
    with pytest.raises(InputError, match=told):
        list(read_examples(str(file), "answers"))


def test_a_fact_that_no_row_has_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "a", "answer": "1"}\n{"question": "b", "answer": "2", "level": 3}\n')
    assert [example.facts for example in read_examples(str(file), None, Reading(facts=("level",)))] == [
        {"level": None},
        {"level": 3},
    ]
    with pytest.raises(InputError, match="no column 'levl': the row has 'answer', 'question'"):
        read_examples(str(file), None, Reading(facts=("levl",)))


@pytest.mark.parametrize(
    ("numbers", "target"),
    [([44, 19, 35], "98"), (["44", "19", "35"], 98), ("[44, 19, 35]", "98"), ([44.0, 19, 35], 98)],
)
def test_countdown_numbers_as_text(tmp_path: Path, numbers: object, target: object) -> None:
    example = read(tmp_path, {"nums": numbers, "target": target})[1]
    assert example.facts == {"numbers": [44, 19, 35], "target": 98}
    assert "Make 98 from the numbers 44, 19, 35:" in example.question


@pytest.mark.parametrize("numbers", [[], ["a", 2], [1.5, 2], [True, 2], "44 19", None, {"a": 1}])
def test_what_is_no_countdown(tmp_path: Path, numbers: object) -> None:
    with pytest.raises(InputError):
        read(tmp_path, {"nums": numbers, "target": 98}, "answers")
