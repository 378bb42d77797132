"""Verifiers elsewhere give the scores of one here, whatever becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from r1kit.backends.serve import Helper
from r1kit.backends.verifiers import open_verifier
from r1kit.cluster.directory import DIRECTORY, Directory
from r1kit.cluster.wire import TOKEN, Listener, Wire, dial
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Group
from r1kit.reward.remote import RemoteVerifiers
from r1kit.reward.settings import RewardConfig

KEY = b"k"


class Site:
    """Helpers in this process that a directory knows, reachable as those of another are."""

    def __init__(self, size: int) -> None:
        self.directory = Directory("127.0.0.1", KEY)
        self.ended: list[str] = []
        self.helpers = [Helper("verifier", 5.0, self.ended.append) for _ in range(size)]
        self._listeners = [Listener("127.0.0.1", KEY, helper.serve) for helper in self.helpers]
        self._said: list[Wire] = []
        for number in range(size):
            self.say(number, 0)

    def say(self, number: int, life: int) -> None:
        address = ("127.0.0.1", self._listeners[number].port)
        self._said.append(dial(self.directory.address, KEY, "here", f"verifier {number}", life, address))
        self._said[-1].receive()

    def kill(self, number: int) -> None:
        """Nothing of it answers any more."""
        self._listeners[number].close()
        for wires in list(self.helpers[number]._wires.values()):
            for wire in wires:
                wire.cut()

    def restart(self, number: int) -> None:
        self.helpers[number] = Helper("verifier", 5.0, self.ended.append)
        self._listeners[number] = Listener("127.0.0.1", KEY, self.helpers[number].serve)
        self.say(number, 1)

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self.directory.close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(2)
    monkeypatch.setenv(DIRECTORY, f"127.0.0.1:{made.directory.address[1]}")
    monkeypatch.setenv(TOKEN, KEY.decode())
    yield made
    made.close()


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    overrides = ["cluster.verifiers=2", "cluster.heartbeat=0.05", "cluster.lost_after=5.0", "cluster.wait_minutes=0.5"]
    return load_recipe("nano-zero", overrides)


def groups_of(recipe: Recipe, count: int) -> list[Group]:
    prompts = recipe.task("countdown").held_out("dev", count)
    return [
        Group(prompt=replace(prompt, task="countdown"), prompt_ids=(1,), completions=tuple(map(completion, texts)))
        for prompt in prompts
        for texts in [(f"<think>a</think> <answer>{prompt.answer}</answer>", "nothing", "<answer>1 + 1</answer>")]
    ]


def completion(text: str) -> Completion:
    return Completion(token_ids=(1, 2), logprobs=(0.0, 0.0), text=text, finish="stop")


def opened(recipe: Recipe) -> RemoteVerifiers:
    made = open_verifier(["countdown"], recipe, RewardConfig(), workers=1)
    assert isinstance(made, RemoteVerifiers)
    return made


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_scores_and_diagnoses_are_those_of_a_verifier_here_also_when_one_is_lost(
    site: Site, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = groups_of(recipe, 8)
    here = replace(recipe, cluster=replace(recipe.cluster, verifiers=0))
    with open_verifier(["countdown"], here, RewardConfig(), workers=1) as local:
        wanted, diagnosed = local.score_groups(groups), local.diagnose_groups(groups)
    assert wanted[0][0].total > wanted[0][1].total
    remote = opened(recipe)
    assert remote.score_groups(groups) == wanted
    assert repr(remote.diagnose_groups(groups)) == repr(diagnosed)  # NaN among them
    assert [remote.submit(group).result(30) for group in groups] == wanted
    assert all(len(helper.room.state) == 1 for helper in site.helpers)  # both had their share, one opening each

    (kept,) = site.helpers[0].room.kept.values()
    gate, submit = threading.Event(), kept.thing.submit
    kept.thing.submit = lambda group: (gate.wait(30), submit(group))[1]  # type: ignore[method-assign]
    answers = [remote.submit(group) for group in groups]
    until(lambda: any(member.out for member in remote._members[:1]))
    site.kill(0)
    assert [answer.result(30) for answer in answers] == wanted
    gate.set()
    said = capsys.readouterr().err
    assert "verifier 0 at 127.0.0.1:" in said
    assert "is lost: it closed the connection; what it was scoring (" in said
    assert ") is scored again on the others" in said
    site.restart(0)
    until(lambda: "is back" in capsys.readouterr().err)
    assert remote.score_groups(groups) == wanted
    assert len(site.helpers[0].room.state) == 1
    remote.close()
    until(lambda: not any(helper.room.state for helper in site.helpers))  # their processes are gone
    assert site.ended == []


def test_ranks_share_one_opening_and_what_is_wrong_is_told(site: Site, recipe: Recipe) -> None:
    one, other = opened(recipe), opened(recipe)
    assert [len(helper.room.state) for helper in site.helpers] == [1, 1]
    one.close()
    (group,) = groups_of(recipe, 1)
    assert len(other.score_groups([group])[0]) == 3
    assert other.score_groups([]) == []
    with pytest.raises(InputError, match="names task 'unknown'; known are"):
        other.score_groups([replace(group, prompt=replace(group.prompt, task="unknown"))])
    other.close()
