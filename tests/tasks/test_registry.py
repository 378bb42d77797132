"""Every kind of task that ships, by its name and plain settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import InputError
from r1kit.structure import plain
from r1kit.tasks import KINDS, Spec, build, build_spec, settings
from r1kit.tasks.corpora import CORPORA, CorpusConfig, build_corpus


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, dict[str, Any]]:
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{i} + 1", "answer": i + 1}) + "\n" for i in range(300)))
    return {
        "countdown": {},
        "general": {},
        "code/list_ops": {"list_ops": {"hidden_tests": 6}},
        "reasoning_gym/chain_sum": {"test_size": 20, "dev_size": 20},
        "jsonl": {"path": str(path)},
    }


@pytest.mark.parametrize("kind", ["countdown", "general", "code/list_ops", "reasoning_gym/chain_sum", "jsonl"])
def test_every_kind_keeps_the_protocol(kind: str, tables: dict[str, dict[str, Any]]) -> None:
    config = settings("mine", kind, tables[kind])
    table = json.loads(json.dumps(plain(config)))
    assert settings("mine", kind, table) == config
    task, verifier = build("mine", kind, config), build_spec("mine", Spec(kind, table))
    prompts = [*(task.train(index) for index in range(20)), *task.held_out("dev", 5), *task.held_out("test", 5)]
    held = {prompt.question for prompt in prompts[20:]}
    assert held.isdisjoint(prompt.question for prompt in prompts[:20])
    assert len({prompt.id for prompt in prompts}) >= 30
    for prompt in prompts:
        assert prompt.task == task.name == "mine"
        assert prompt.cluster
        json.dumps(dict(prompt.facts))
        assert prompt.answer is not None
        assert verifier.grade(prompt, prompt.answer).correct == 1
        assert verifier.grade(prompt, "nonsense").correct == 0
        assert all(isinstance(value, float) for value in task.diagnose(prompt, "try 1 + 1 = 2").values())


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("contdown", r"task kind 'contdown' is unknown; kinds are countdown, .*Did you mean 'countdown'"),
        ("code", 'code/auto reads a file; write path = "FILE.jsonl"'),
        ("code/list_op", "Did you mean 'code/list_ops'"),
        ("reasoning_gym/", "is unknown"),
        ("code/mbpp", 'code/mbpp reads a file; write path = "FILE.jsonl"'),
    ],
)
def test_unknown_kinds_are_told_with_the_nearest(kind: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        build("mine", kind, {})
    assert "\n" not in str(caught.value)


def test_every_kind_has_a_class_that_has_settings() -> None:
    from r1kit.registry import find

    for kind in KINDS:
        if kind != "verifiers/NAME":
            assert isinstance(find(kind, KINDS, "kind").Config, type)


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_builds_from_defaults(name: str) -> None:
    corpus = build_corpus(CorpusConfig(shares={name: 1.0}))
    assert set(corpus.document(0).split()) <= set(corpus.vocabulary())
