"""Text from tokens as they come: characters, stop strings, thinking."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from r1kit.rollout.piece import Piece, Scored
from r1kit.rollout.stopping import Tokenizer, text_of
from r1kit.serving.shapes import token_bytes, token_text
from r1kit.serving.writing import Delta, Detokeniser, Parting, Tags, Writer
from tests.text.byte_fallback import byte_fallback, random_text


class Bytes:
    """A token is a byte; 0 ends."""

    eos_token_id = 0

    def __len__(self) -> int:
        return 256

    def decode(self, token_ids: list[int], **more: bool) -> str:
        return bytes(token_ids).decode("utf-8", "replace")


class Words:
    """Words with a space between them."""

    eos_token_id = 0

    def __len__(self) -> int:
        return 9

    def decode(self, token_ids: list[int], **more: bool) -> str:
        return " ".join(f"w{token}" for token in token_ids)


TEXTS = ["plain", "é", "日本語 ok", "a😀b😀", "👩‍👩‍👧", "ﷺ x", "tail é"]


@pytest.mark.parametrize(("text", "size"), [*product(TEXTS, [1, 2, 3, 5, 64])])
def test_no_piece_ends_within_a_character(text: str, size: int) -> None:
    """However the bytes are bundled; each piece is the longest that is whole."""
    spelled, found, detokeniser = list(text.encode()), [], Detokeniser(Bytes())
    for start in range(0, len(spelled), size):
        found.append(detokeniser.add(spelled[start : start + size]))
        whole = bytes(spelled[: start + size]).decode("utf-8", "ignore")
        assert "".join(found) == whole
    assert "".join(found) + detokeniser.add([], last=True) == text


def test_bytes_that_never_become_a_character_are_shown_at_last() -> None:
    detokeniser = Detokeniser(Bytes())
    assert detokeniser.add([0x41, 0xF0, 0x9F]) == "A"
    assert detokeniser.add([0x41]) == "\ufffdA"
    assert detokeniser.add([0xE2]) == ""
    assert detokeniser.add([], last=True) == "\ufffd"
    assert "".join(detokeniser.add([0x80]) for _ in range(20)).startswith("\ufffd")


def test_a_word_is_decoded_after_the_one_before() -> None:
    detokeniser = Detokeniser(Words())
    assert [detokeniser.add([3]), detokeniser.add([4, 5]), detokeniser.add([6])] == ["w3", " w4 w5", " w6"]
    assert Detokeniser(Words(), before=[1, 2]).add([3]) == " w3"


def settled(tokenizer: Tokenizer, tokens: list[int]) -> str:
    """Text of the most of these that end in a whole character."""
    texts = (text_of(tokenizer, tokens[:count]) for count in range(len(tokens), 0, -1))
    return next((text for text in texts if not text.endswith("\ufffd")), "")


def bundled(rng: Random, tokens: list[int]) -> list[list[int]]:
    found, start = [], 0
    while start < len(tokens):
        found.append(tokens[start : start + rng.choice([1, 1, 2, 3, 5, 13, 40])])
        start += len(found[-1])
    return found


SIZES = pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
STRIPS = pytest.mark.parametrize("strips", [False, True])


@STRIPS
def test_pieces_of_byte_tokens_make_the_text_of_all(strips: bool) -> None:
    """Where bytes side by side are decoded together, too; each piece is the longest that is whole."""
    rng, tokenizer = Random(1), byte_fallback(strips=strips)
    for _ in range(40):
        tokens = tokenizer.encode(random_text(rng, rng.randint(1, 20), torn=False), add_special_tokens=False)
        detokeniser, shown, count = Detokeniser(tokenizer), "", 0
        for bundle in bundled(rng, tokens):
            count += len(bundle)
            shown += detokeniser.add(bundle)
            assert shown == settled(tokenizer, tokens[:count])
        assert shown + detokeniser.add([], last=True) == text_of(tokenizer, tokens)


@STRIPS
def test_a_text_s_own_replacement_characters_tear_nothing(strips: bool) -> None:
    rng, tokenizer = Random(2), byte_fallback(strips=strips)
    texts = [random_text(rng, rng.randint(1, 30)) for _ in range(80)]
    for text in [*texts, "a�" + "👍" * 9, "�" * 20 + "👍�好", "\n�" * 9]:
        tokens = tokenizer.encode(text, add_special_tokens=False)
        detokeniser = Detokeniser(tokenizer)
        shown = "".join(detokeniser.add(bundle) for bundle in bundled(rng, tokens))
        assert shown + detokeniser.add([], last=True) == text_of(tokenizer, tokens)


@STRIPS
def test_a_character_that_the_prompt_begins_is_shown_once_it_is_whole(strips: bool) -> None:
    rng, tokenizer = Random(3), byte_fallback(strips=strips)
    for _ in range(80):
        tokens = tokenizer.encode(random_text(rng, rng.randint(1, 20), torn=False), add_special_tokens=False)
        cut = rng.randint(0, len(tokens))
        detokeniser = Detokeniser(tokenizer, before=tokens[:cut])
        shown = "".join(detokeniser.add(bundle) for bundle in bundled(rng, tokens[cut:]))
        shown += detokeniser.add([], last=True)
        assert settled(tokenizer, tokens[:cut]) + shown == text_of(tokenizer, tokens)


@SIZES
def test_a_text_goes_on_inside_the_prompt_s_last_character(size: int) -> None:
    """Completed, it is the text's, and its last token's; bytes that nothing completes are the prompt's."""
    tokenizer = byte_fallback()
    tokens = tokenizer.encode("so 漢字👍️\n\nso", add_special_tokens=False)
    prompt, rest = tokens[:4], tokens[4:]
    bundles = [rest[start : start + size] for start in range(0, len(rest), size)]
    for scored in (False, True):
        writer = Writer(tokenizer, frozenset({2}), Parting(None), stop=["\n\n"], before=prompt)
        scores = [[Scored(-0.5, ())] * len(bundle) * scored for bundle in bundles]
        deltas = written(writer, [Piece(0, *both, "") for both in zip(bundles, scores, strict=True)])
        assert (joined(deltas), writer.finish) == (("", "漢字👍️"), "stop")
        told = [token.text for delta in deltas for token in delta.tokens]
        assert told == ["漢", "", "", "字", "", "", "", "👍", "", "", "\ufe0f"] * scored
    (so,) = tokenizer.encode("so", add_special_tokens=False)
    assert Detokeniser(tokenizer, before=prompt).add([so, so]) == "soso"
    assert Detokeniser(tokenizer, before=prompt).add([], last=True) == ""


@pytest.mark.parametrize("text", ["so it is ", "漢字仮名", "👍️", "�", "�好"])
def test_a_long_text_is_decoded_in_bounded_windows(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0

    def counted(tokenizer: Tokenizer, tokens: list[int]) -> str:
        nonlocal decoded
        decoded += len(tokens)
        return text_of(tokenizer, tokens)

    monkeypatch.setattr("r1kit.serving.writing.text_of", counted)
    tokenizer = byte_fallback()
    tokens = tokenizer.encode(text * 200, add_special_tokens=False)
    detokeniser = Detokeniser(tokenizer)
    shown = "".join(detokeniser.add([token]) for token in tokens) + detokeniser.add([], last=True)
    assert (shown, decoded < 80 * len(tokens)) == (text_of(tokenizer, tokens), True)


def pieces(text: str, size: int, finish: str = "stop", scored: bool = False) -> list[Piece]:
    spelled = [*text.encode(), 0]
    bundles = [spelled[start : start + size] for start in range(0, len(spelled), size)]
    return [
        Piece(0, bundle, [Scored(-0.5, ())] * len(bundle) * scored, finish if place == len(bundles) - 1 else "")  # type: ignore[arg-type]
        for place, bundle in enumerate(bundles)
    ]


def written(writer: Writer, given: list[Piece]) -> list[Delta]:
    found = []
    for piece in given:
        if writer.finish:
            break
        found.append(writer.feed(piece))
    return found


def joined(deltas: list[Delta]) -> tuple[str, str]:
    return "".join(one.thinking for one in deltas), "".join(one.content for one in deltas)


@SIZES
@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("one two STOP three", ["STOP"], "one two "),
        ("one ST two STOP", ["STOP"], "one ST two "),
        ("SSTOP", ["STOP"], "S"),
        ("a</answer>b", ["nothing", "</answer>"], "a"),
        ("aab then aaab", ["aaab"], "aab then "),
        ("x\n\ny", ["\n\n"], "x"),
        ("none", ["STOP"], "none"),
        ("ends in ST", ["STOP"], "ends in ST"),
        ("héé", ["éé"], "h"),
        ("later first", ["first", "later"], ""),
    ],
)
def test_a_stop_string_ends_the_text_and_never_shows_its_beginning(
    size: int, text: str, stop: list[str], expected: str
) -> None:
    writer = Writer(Bytes(), frozenset({0}), Parting(None), stop=stop)
    shown = ""
    for delta in written(writer, pieces(text, size)):
        shown += delta.content
        assert expected.startswith(shown)
    assert (shown, writer.finish) == (expected, "stop")
    assert writer.count <= len(text.encode()) + 1
    if expected != text:
        assert writer.count < len(text.encode()) + 1 or text.endswith(stop[0])


@SIZES
def test_a_string_of_the_stages_own_is_kept(size: int) -> None:
    writer = Writer(Bytes(), frozenset({0}), Parting(None), kept_stop=["</answer>"])
    deltas = written(writer, pieces("<answer> 4 </answer> and more", size, "length"))
    assert joined(deltas) == ("", "<answer> 4 </answer>")
    assert deltas[-1].finish == "stop"


@SIZES
@pytest.mark.parametrize(
    ("text", "opened", "thinking", "content"),
    [
        ("<think>\nwell\n</think>\n\nfour", False, "well", "four"),
        ("  <think> a  b </think>c d ", False, "a  b", "c d "),
        ("well\n</think>\n\nfour", True, "well", "four"),
        ("four", False, "", "four"),
        ("<thin air", False, "", "<thin air"),
        ("a <think> b </think>", False, "", "a <think> b </think>"),
        ("<think> never closed </thin", False, "never closed </thin", ""),
        ("<think></think>x", False, "", "x"),
        ("<think>a</think>b</think>c", False, "a", "b</think>c"),
        ("<think>日本</think>語", False, "日本", "語"),
        ("", True, "", ""),
        (" \n", False, "", " \n"),
    ],
)
def test_thinking_is_told_apart(size: int, text: str, opened: bool, thinking: str, content: str) -> None:
    writer = Writer(Bytes(), frozenset({0}), Parting(Tags(), opened))
    deltas = written(writer, pieces(text, size))
    assert joined(deltas) == (thinking, content)
    assert writer.raw == text


def test_tags_of_ones_own() -> None:
    writer = Writer(Bytes(), frozenset({0}), Parting(Tags(open="[T]", close="[/T]")))
    assert joined(written(writer, pieces("[T]hm[/T] <think>", 2))) == ("hm", "<think>")


CHANNELS = Tags(
    open="<|channel|>analysis<|message|>",
    close="<|end|><|start|>assistant<|channel|>final<|message|>",
    plain="<|channel|>final<|message|>",
)


@SIZES
@pytest.mark.parametrize(
    ("text", "thinking", "content"),
    [
        (CHANNELS.open + "hm" + CHANNELS.close + "yes", "hm", "yes"),
        (CHANNELS.plain + "yes", "", "yes"),
        (CHANNELS.open + "hm", "hm", ""),
        (CHANNELS.plain[:15], "", CHANNELS.plain[:15]),
        ("yes", "", "yes"),
    ],
)
def test_channels_are_told_apart(size: int, text: str, thinking: str, content: str) -> None:
    """As gpt-oss writes them; an answer without thinking has a mark before it too."""
    writer = Writer(Bytes(), frozenset({0}), Parting(CHANNELS))
    assert joined(written(writer, pieces(text, size))) == (thinking, content)


@SIZES
def test_tokens_are_told_with_their_text_and_not_beyond_a_stop_string(size: int) -> None:
    """Not even those whose text was held back as its beginning."""
    writer = Writer(Bytes(), frozenset({0}), Parting(Tags()), stop=["STOP"])
    shown: list[str] = []
    for delta in written(writer, pieces("<think>é</think>ab STxSTOP", size, scored=True)):
        shown += [token.text for token in delta.tokens]
        assert "STO" not in "".join(shown)
    assert "".join(shown) == "<think>é</think>ab STx"
    writer = Writer(Bytes(), frozenset({0}), Parting(Tags()))
    tokens = [one for delta in written(writer, pieces("<think>é</think>ab", size, scored=True)) for one in delta.tokens]
    assert "".join(one.text for one in tokens if one.thinking) == "<think>é</think>"
    assert [(one.text, one.start) for one in tokens if not one.thinking] == [("a", 16), ("b", 17)]


def test_tokens_are_spelled_in_bytes() -> None:
    from r1kit.text.byte_pairs import byte_pairs

    tokenizer = byte_pairs(["plain text of words"] * 5, vocab_size=290)
    ids = list(tokenizer.encode("héllo wörld 日"))
    assert b"".join(token_bytes(tokenizer, token) for token in ids) == "héllo wörld 日".encode()  # type: ignore[arg-type]
    torn = list(tokenizer.encode("日"))
    assert [token_text(tokenizer, token) for token in torn] == ["bytes:\\xe6", "bytes:\\x97", "bytes:\\xa5"]  # type: ignore[arg-type]


def test_bytes_that_never_become_a_character_stay_with_their_own_token() -> None:
    from r1kit.serving.shapes import Shape
    from r1kit.text.byte_pairs import byte_pairs

    tokenizer = byte_pairs(["plain text of words"] * 5, vocab_size=290)
    first, second, _ = tokenizer.encode("日")
    (plain,) = tokenizer.encode("x")
    writer = Writer(tokenizer, frozenset(), Parting(None))  # type: ignore[arg-type]
    told = writer.feed(Piece(0, [first, second, plain], [Scored(-1.0, ())] * 3, "length")).tokens
    shape = Shape.__new__(Shape)
    shape._tokenizer = tokenizer  # type: ignore[assignment]
    entries = [shape._entry(token) for token in told]
    assert b"".join(bytes(one["bytes"]) for one in entries) == b"\xe6\x97x"
    assert entries[-1]["token"] == "x"
