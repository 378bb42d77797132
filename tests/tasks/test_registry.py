import dataclasses
import json
import pickle
from pathlib import Path

import pytest

from r1kit.nano.countdown import CountdownConfig
from r1kit.nano.general import GeneralConfig
from r1kit.structure import structure
from r1kit.tasks import KINDS, CorpusConfig, TaskConfig, build_corpus, build_task, kind_of
from r1kit.tasks.code import CodeConfig
from r1kit.tasks.jsonl import JsonlConfig
from r1kit.tasks.reasoning_gym import ReasoningGymConfig


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, TaskConfig]:
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{i} + 1", "answer": i + 1}) + "\n" for i in range(300)))
    return {
        "countdown": CountdownConfig(),
        "general": GeneralConfig(),
        "code": CodeConfig(generator="list_ops"),
        "reasoning_gym": ReasoningGymConfig(generator="chain_sum", test_size=20, dev_size=20),
        "jsonl": JsonlConfig(path=str(path)),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_the_protocol(kind: str, configs: dict[str, TaskConfig]) -> None:
    config = configs[kind]
    assert kind_of(config) == kind
    sent = pickle.loads(pickle.dumps(config))
    table = json.loads(json.dumps(dataclasses.asdict(config)))
    assert sent == config == structure(KINDS[kind], table, "")
    task, verifier = build_task("mine", config), build_task("mine", sent)
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


@pytest.mark.parametrize("kind", ["countdown", "general", "list_ops"])
def test_every_corpus_builds_from_defaults(kind: str) -> None:
    corpus = build_corpus(CorpusConfig(shares={kind: 1.0}))
    assert set(corpus.document(0).split()) <= set(corpus.vocabulary())
