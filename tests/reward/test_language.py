"""Language consistency, counted by hand."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.errors import InputError, MissingError
from r1kit.records import Prompt
from r1kit.reward.function_words import TOLD
from r1kit.reward.language import check_detector, check_told, language_consistency, language_of, words_by_script
from r1kit.reward.rule import RewardConfig, score_completion


@pytest.mark.parametrize(
    ("chain", "target", "share"),
    [
        ("try 7 + 1 = 8 low wait", "en", 1.0),
        ("try 7 + 1 = 8 low wait", "zh", 0.0),
        ("try 7 试 8 no 不", "en", 0.5),
        ("试 等等 no", "zh", 3 / 4),  # three Han characters, one word
        ("7 * 5 - 1 = 34", "en", 1.0),
        ("", "zh", 1.0),
        ("so x = y + z and done", "en", 1.0),  # single letters are variables
        ("所以 x = y", "zh", 1.0),
        (r"因此 $\text{speed} = 3$ 和 \(abc\)", "zh", 1.0),
        ("看 `return value` ```python\nprint(word)\n``` 好", "zh", 1.0),
        ("见 https://example.com/page 好 <think>", "zh", 1.0),
        ("это ответ yes", "ru", 2 / 3),
        ("答えは yes です", "ja", 5 / 6),
        ("정답 은 yes", "ko", 2 / 3),
        ("x1 step2 alpha", "zh", 0.0),  # names with digits are left out, alpha stays
        ("don't stop", "en", 1.0),
    ],
)
def test_by_hand(chain: str, target: str, share: float) -> None:
    assert language_consistency(chain, target) == pytest.approx(share)


@pytest.mark.parametrize(
    ("chain", "target", "high"),
    [
        ("We add both sides.", "fr", False),
        ("我们把两边相加，得到总和。", "ja", False),
        ("We add both sides.", "en", True),
        ("Nous ajoutons les deux côtés.", "fr", True),
        ("Nous ajoutons les deux côtés.", "en", False),
        ("Wir addieren beide Seiten.", "de", True),
        ("Wir addieren beide Seiten.", "en", False),
        ("We add both sides.", "de", False),
        ("We add both sides.", "vi", False),
        ("We add both sides.", "pl", False),
        ("Somamos os dois lados.", "es", False),
        ("Sumamos ambos lados de la ecuación.", "es", True),
        ("Sumamos ambos lados de la ecuación y el número.", "pt", False),
        ("Sommiamo entrambi i lati.", "it", True),
        ("両辺を足して、合計を求めます。", "ja", True),
        ("両辺を足して、合計を求めます。", "zh", False),
        ("我们把两边相加，得到总和。", "zh", True),
        ("我们把两边相加", "ko", False),
        ("我们", "ja", True),
        ("Мы складываем обе стороны и получаем сумму.", "ru", True),
        ("Мы складываем обе стороны и сумму.", "uk", False),
        ("Ми додаємо обидві сторони і отримуємо суму.", "ru", False),
        ("Compute sum modulo result then continue", "fr", False),
        ("در این مسئله ما هر دو عدد را جمع می کنیم", "ar", False),
        ("در این مسئله ما هر دو عدد را جمع می کنیم", "fa", True),
        ("We add both sides.", "sw", False),
        ("We tellen beide zijden op.", "en", False),
        ("no no wait no", "en", True),
        ("donc la réponse", "en", False),
        ("Let a v be as in e: a, v, i.", "en", True),
        ("Compute both.", "fr", False),
        ("Multiply numerator times denominator", "es", False),
        ("12 + 7 = 19", "fr", True),
    ],
)
def test_languages_of_one_script_are_told_apart(chain: str, target: str, high: bool) -> None:
    assert language_consistency(chain, target) == (1.0 if high else 0.0)


SHORT = [
    ("ru", "Сначала сложим два числа."),
    ("ru", "Всего получилось двадцать яблок."),
    ("uk", "Разом вийшло двадцять яблук."),
    ("bg", "Проверяваме отговора със заместване."),
    ("ar", "أولا نجمع العددين معا"),
    ("ar", "لدينا خمسة تفاحات وثلاث برتقالات"),
    ("it", "Prima sommiamo i due numeri."),
    ("pt", "Portanto restam doze maçãs."),
    ("pl", "Najpierw dodajemy dwie liczby."),
    ("tr", "Cevabı yerine koyarak kontrol ediyoruz."),
]


@pytest.mark.parametrize(("language", "step"), SHORT, ids=[language for language, _ in SHORT])
def test_a_short_step_without_little_words_is_told_by_its_verbs_and_letters(language: str, step: str) -> None:
    assert language_consistency(step, language) == 1.0


@pytest.mark.parametrize(
    ("step", "target"),
    [
        ("Primero sumamos los dos números.", "pt"),
        ("Primero sumamos los dos números.", "en"),
        ("Först adderar vi de två talen.", "da"),
        ("Najpierw dodajemy dwie liczby.", "en"),
        ("Önce iki sayıyı topluyoruz.", "en"),
        ("Спочатку додамо два числа, потім поділимо.", "ru"),
        ("Substituting back confirms twelve apples remain.", "fr"),
        ("Қанша алма бар барлығы", "ru"),
    ],
)
def test_a_short_step_in_another_language_is_told(step: str, target: str) -> None:
    assert language_consistency(step, target) == 0.0


def test_a_mixed_chain_counts_its_lines() -> None:
    mixed = "x donne 3\nWe add the sides\nNous avons 4"  # 2 words that tell nothing, 4 English ones, 2 French ones
    assert language_consistency(mixed, "fr") == 0.25, "what tells nothing goes with the whole, which is English"
    assert language_consistency(mixed, "en") == 0.75


def test_a_language_that_cannot_be_told_is_said() -> None:
    check_told(["en", "fr", "zh"], "stages.x.reward")
    with pytest.raises(InputError, match=r"^stages.x.reward pays .* cannot tell 'sw' .* detector = \"lingua\""):
        check_told(["en", "sw"], "stages.x.reward")


def test_a_cut_code_block_is_left_out_to_the_end() -> None:
    assert words_by_script("好 ```python\nfor word in words") == {"han": 1}


@pytest.mark.parametrize(
    ("chain", "target", "share"),
    [
        ("```\n我们把两边相加，得到总和。", "en", 0.0),
        ("`我们把两边相加`", "en", 0.0),
        ("$我们把两边相加$", "en", 0.0),
        (r"\text{我们把两边相加}", "en", 0.0),
        (r"\(我们\) \[把两边\] wait", "en", 1 / 6),
        ("https://我们把两边相加", "en", 0.0),
        ("`мы складываем` yes", "ru", 2 / 3),
        ("```python\nprint('好')\n``` 好", "zh", 1.0),
        (r"Let $α + β = γ$, `λ` and \(ℝ^n\) be", "en", 1.0),  # formulas are written in Greek and Latin
        ("`café` 好", "zh", 1.0),
        ("আমরা দুই পাশ যোগ করি", "en", 0.0),
        ("আমরা দুই পাশ যোগ করি", "bn", 1.0),
        ("நாங்கள் இருபுறமும் yes", "en", 1 / 3),
        ("ჩვენ ვამატებთ", "en", 0.0),
        ("ｶﾀｶﾅ", "en", 0.0),
        ("ｶﾀｶﾅ", "ja", 1.0),
        ("Ｗｅ　ａｄｄ", "zh", 0.0),
        ("Ｗｅ　ａｄｄ", "en", 1.0),
        ("Ta cộng hai vế và được tổng", "vi", 1.0),
        ("wait 🎉 ✓ → ∑ 5 µm 2ⁿ 𝑥 ½ ①", "en", 1.0),  # no words
    ],
)
def test_letters_count_wherever_and_in_whatever_script_they_stand(chain: str, target: str, share: float) -> None:
    assert language_consistency(chain, target) == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"\(abc\) \[ \frac{a}{bc} \\[2pt] word \] so", 1),
        (r"\\( abc \\) \\[ abc \\] so", 1),  # escaped twice
        (r"\(abc and \(word\) so", 3),  # the first has no end
        (r"\alpha_no2 \beta3x \text{ab}_cd2 so", 1),
        ("a1https://x.y/z 9ab ab9 _9 so", 1),
    ],
)
def test_what_is_left_out(text: str, words: int) -> None:
    assert words_by_script(text) == {"latin": words}


@pytest.mark.parametrize(
    "piece",
    ["_", "a", r"\( ", r"\[ ", r"\(\[", r"\(x=1 and so on. ", "$$ ", "$x\n", "`x\n", "``` ", r"\a{", r"\a_", "<a", "\n",
     "é_", "我a", "www.", r"\\(", r"\\[",
     r"\\[2pt]", r"\[ \\[2pt] ", r"\[" + r"\\", "{}", r"\x{}"],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "我"])
def test_the_time_grows_with_the_length_alone(piece: str, end: str) -> None:
    text = piece * (50_000 // len(piece)) + end
    begun = time.process_time()
    language_consistency(text, "en")
    assert time.process_time() - begun < 1.0  # hundredths of a second; squared, it took many


@given(st.text(max_size=200), st.sampled_from(["en", "zh", "ru", "ja"]))
def test_a_share_lies_between_0_and_1(text: str, target: str) -> None:
    assert 0.0 <= language_consistency(text, target) <= 1.0


@pytest.mark.skipif(importlib.util.find_spec("lingua") is not None, reason="lingua is installed")
def test_a_missing_detector_says_what_to_install() -> None:
    with pytest.raises(MissingError, match=r"pip install 'r1kit\[lingua\]'"):
        check_detector("lingua")
    check_detector("script")


# ---- the target -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("What is the sum of the two numbers?", "en"),
        ("Quelle est la somme des deux nombres ?", "fr"),
        ("Was ist die Summe der beiden Zahlen, und wie ist sie zu finden?", "de"),
        ("Сколько будет 7 и 5, если это сумма?", "ru"),
        ("两个数的和是多少？", "zh"),
        ("二つの数の合計はいくつですか", "ja"),
        ("사용 7 1 5 만들기 34", "ko"),
        ("Ποιο είναι το άθροισμα;", "el"),
        (r"$x^2 = 4$, `print(3)`", None),  # nothing but mathematics and code
        ("7 + 5", None),
        ("xylophone", None),
        ("ambos de", None),  # as Spanish as it is Portuguese
        ("Simplifica (x+1)^2.", None),  # so is this
        ("Реши уравнение 3x = 6.", None),  # Russian or Bulgarian, by what is listed
        ("Қанша алма бар, что?", None),  # letters of none of them
        ("What does 你好吗 mean in Łódź?", "en"),
        ("Мама мыла раму, и что?", "ru"),
        ("Мама мила раму, і що?", "uk"),
    ],
)
def test_language_of_a_question(question: str, language: str | None) -> None:
    assert language_of(question) == language


def test_ten_short_questions_in_each_language() -> None:
    """What is not told is at most one in ten of a language, and nothing is taken for another."""
    told: dict[str, list[str | None]] = {}
    for line in (Path(__file__).parent / "questions.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            language = line.removeprefix("# ")
        else:
            told.setdefault(language, []).append(language_of(line))
    assert set(told) == TOLD
    for language, found in told.items():
        assert len(found) == 10
        assert set(found) <= {language, None}, language
        assert found.count(language) >= 9, language


@pytest.mark.skipif(importlib.util.find_spec("lingua") is None, reason="needs lingua")
def test_language_of_a_question_by_a_model() -> None:
    assert language_of("What is the sum of both numbers?", "lingua") == "en"
    assert language_of("Quelle est la somme des deux nombres ?", "lingua") == "fr"
    assert language_of("7 + 5", "lingua") is None


class Anything:
    """A task that finds every answer right."""

    name = "t"

    def grade(self, prompt: Prompt, answer: str) -> object:
        from r1kit.tasks.task import Grade

        return Grade(1.0, answer)


@pytest.mark.parametrize(
    ("target", "told", "share"),
    [
        ("question", "ko", 2 / 3),
        ("question", "en", 1 / 3),  # what the prompt says, whatever it looks like
        ("detected", "en", 2 / 3),
        ("en", "ko", 1 / 3),
        ("zh", "ko", 0.0),
    ],
)
def test_the_target_by_setting(target: str, told: str, share: float) -> None:
    prompt = Prompt(id="p", task="t", question="사용 7 1 5 만들기 34", language=told)
    paid = RewardConfig(parts={"language": 1.0}, language_target=target)
    text = "<think> 시도 잠깐 wait </think> <answer> 1 </answer>"
    score = score_completion(Anything(), prompt, text, "stop", paid)  # type: ignore[arg-type]
    assert score.total == score.parts["language"] == pytest.approx(share)


def test_a_question_that_tells_nothing_is_in_what_its_prompt_says() -> None:
    prompt = Prompt(id="p", task="t", question="7 + 5", language="ko")
    paid = RewardConfig(parts={"language": 1.0}, language_target="detected")
    assert score_completion(Anything(), prompt, "시도", "stop", paid).parts["language"] == 1.0  # type: ignore[arg-type]


def test_a_wrong_target_is_told() -> None:
    with pytest.raises(InputError, match=r"language_target = 'questoin'; allowed are question, .*question"):
        RewardConfig(language_target="questoin")
