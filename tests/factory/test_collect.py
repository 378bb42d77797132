"""Cold start and rejection sampling, whole, over scripted engines: routes, review, judge, caps, kill and resume."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1kit import workspace as workspaces
from r1kit.answers.expression import written
from r1kit.cluster.ranks import Solo
from r1kit.errors import InputError, MissingError
from r1kit.factory import cold_start, harvest, rejection_sampling
from r1kit.factory.collection import Plan
from r1kit.factory.review import Decision, read_queue
from r1kit.factory.review_file import ReviewFile
from r1kit.factory.samplers import Sampler
from r1kit.factory.samples import read_samples
from r1kit.nano.countdown import Countdown, CountdownConfig
from r1kit.nano.countdown.rules import Rules, solutions
from r1kit.recipe import Recipe, parse_recipe
from r1kit.records import Group, Score
from r1kit.reward.rule import RewardConfig, score_completion
from r1kit.rollout.scripted import CodePoints, ScriptedEngine
from r1kit.stages import cold_start as cold_start_stage
from r1kit.stages import rejection_sampling as rejection_stage
from r1kit.tasks.task import Task
from r1kit.workspace import Workspace

from .ranked_collect import gather

TOKENIZER = CodePoints()
PARAMETERS = {"r1_zero": 10, "org/other": 100, "org/judge": 1000, "org/refiner": 10_000}
VERDICT = '{"analysis": "same", "correctness": "correct"}'


def solve(question: str) -> str:
    """An expression that is right, or nothing."""
    words = question.split()
    numbers = tuple(sorted(int(word) for word in words[1:4]))
    return written(solutions(numbers, Rules())[int(words[5])])


def policy(prompt: tuple[int, ...], seed: int, row: int) -> str:
    """Row 0: right, languages mixed; 1: wrong; 2: right, one language; 3: right, going round in circles."""
    asked = re.findall(r"(?:use|用) \d+ \d+ \d+ (?:make|得) \d+", TOKENIZER.decode(list(prompt)))
    answer = solve(asked[-1])
    if row == 1:
        return "<think> try </think> <answer> 1 + 1 </answer>"
    chain = {0: f"试 {answer} no wait 对", 2: f"try {answer} = {seed % 7} yes", 3: "wait no hmm again " * 9}[row % 4]
    return f"<think> {chain} </think> so {answer} <answer> {answer} </answer>"


class InProcess:
    """A verifier without processes."""

    def __init__(self, tasks: Mapping[str, Task], reward: RewardConfig) -> None:
        self.tasks, self.reward = tasks, reward

    def score_groups(self, groups: Sequence[Group]) -> list[list[Score]]:
        return [
            [
                score_completion(self.tasks[g.prompt.task], g.prompt, c.text, c.finish, self.reward)
                for c in g.completions
            ]
            for g in groups
        ]


class World:
    """Stands in for the models; notes what was opened and dies where it is told to."""

    def __init__(self, judge: str = VERDICT) -> None:
        self.opened: list[str] = []
        self.dies_at = -1
        self.calls = 0
        self.judge = judge

    def policy(self, prompt: tuple[int, ...], seed: int, row: int) -> str:
        if row == 0:
            self.calls += 1
            if self.calls == self.dies_at:
                raise KeyboardInterrupt
        return policy(prompt, seed, row)

    @contextmanager
    def open_samplers(self, names: Sequence[str], *_: object) -> Iterator[dict[str, Sampler]]:
        self.opened = list(dict.fromkeys(filter(None, names)))
        yield {
            name: Sampler(
                name=name,
                version=90,
                engine=ScriptedEngine([self.judge] if name == "org/judge" else self.policy),
                encode=lambda text: TOKENIZER.encode(text),
                count=lambda text: len(text.split()),
                parameters=PARAMETERS[name],
            )
            for name in self.opened
        }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()

    @contextmanager
    def open_verifier(
        tasks: Sequence[str], recipe: Recipe, reward: RewardConfig, *_: object, **more: object
    ) -> Iterator[Any]:
        yield InProcess(recipe.built(tasks), reward)

    monkeypatch.setattr(harvest, "open_verifier", open_verifier)
    monkeypatch.setattr(harvest, "open_samplers", lambda *arguments: found.open_samplers(*arguments))
    for module in (cold_start, rejection_sampling):
        monkeypatch.setattr(module, "token_counter", lambda name, workspace: lambda text: len(text.split()))
    monkeypatch.setattr(workspaces, "SAVE_COST_SHARE", 1e9)  # a resume point after every step
    monkeypatch.setattr(workspaces, "WORTH_SAVING", 0.0)
    return found


CORPUS = {"corpus": {"shares": {"countdown": 1.0}}}


def recipe_of(stage: str, settings: dict[str, Any]) -> Recipe:
    return parse_recipe(
        {
            "name": "x",
            "tasks": {"countdown": {"chinese_share": 0.5}, "general": {}},
            "stages": {"pretrain": CORPUS, "r1_zero": {}, stage: {"tasks": ["countdown"], **settings}},
        }
    )


COLD = {
    "routes": {"few_shot": 6, "direct": 6, "r1_zero": 12},
    "prompts_per_step": 4,
    "sampling": {"n": 4, "max_tokens": 400},
    "reward": {"format_style": "think_summary"},
    "limit": 0,
}
REJECTION = {
    "start": "r1_zero",
    "prompts": 20,
    "prompts_per_step": 4,
    "keep": 1,
    "sampling": {"n": 4, "max_tokens": 400},
    "general": {"tasks": ["general"], "count": 8},
}


@pytest.fixture
def go(tmp_path: Path, world: World) -> Callable[..., tuple[dict[str, Any], Path]]:
    """Run a stage, or go on with it; its result's metrics and its folder."""

    def run(stage: str, settings: dict[str, Any], folder: str = "run") -> tuple[dict[str, Any], Path]:
        recipe = recipe_of(stage, settings)
        recipe.stages[stage].check(stage, recipe)
        place = Workspace(run=tmp_path / folder, stage=stage, index=3, recipe=recipe, key="k", say=lambda line: None)
        place.folder.mkdir(parents=True, exist_ok=True)
        module = {"cold_start": cold_start_stage, "rejection_sampling": rejection_stage}[stage]
        result = module.run(recipe.stages[stage], place)  # type: ignore[attr-defined]
        assert result.checkpoint is None
        assert result.inputs == ("r1_zero",)
        return dict(result.metrics), place.folder

    return run


Go = Callable[..., tuple[dict[str, Any], Path]]


def test_cold_start_by_all_routes(go: Go) -> None:
    metrics, folder = go("cold_start", COLD)
    samples = read_samples(folder / "samples.jsonl")
    assert {sample.provenance["route"] for sample in samples} == {"few_shot", "direct", "r1_zero"}
    assert metrics["yields"]["r1_zero"]["right"] == 0.75
    assert metrics["yields"]["r1_zero"]["repetition"] == pytest.approx(2 / 3, abs=1e-4)
    assert metrics["language_consistency"] == 1.0
    assert metrics["language_consistency_before"] < 0.9
    for sample in samples:
        assert "yes" in sample.response or "对" in sample.response
        assert sample.provenance["stage"] == "r1_zero"
        assert sample.provenance["version"] == 90
        assert sample.provenance["review"] == "automatic"
        assert (sample.provenance["completion"] == "") == (sample.provenance["edits"] == [])
    card = json.loads((folder / "card.json").read_text())
    assert card["samples"] == len(samples) == metrics["samples"]
    assert card["yields"]["direct"]["left"]["sampled"] == 24
    assert (folder / "card.md").read_text().startswith("# Data card: cold_start")
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2 + 2 + 3


def test_at_most_so_many_samples_a_question(go: Go) -> None:
    _, folder = go("cold_start", {**COLD, "keep": 1})
    prompts = [sample.prompt for sample in read_samples(folder / "samples.jsonl")]
    assert len(prompts) == len(set(prompts))


def test_other_samples_are_added(go: Go) -> None:
    metrics, _ = go("cold_start", {**COLD, "general": {"tasks": ["general"], "count": 9}})
    assert metrics["domains"]["general"] + metrics["dropped"].get("general_contaminated", 0) == 9


def test_people_decide_and_the_same_command_goes_on(go: Go, world: World) -> None:
    settings = {**COLD, "review": "human"}
    with pytest.raises(MissingError, match=r"cold_start: (\d+) of \1 samples wait .*review.jsonl.*r1 review .*again"):
        go("cold_start", settings)
    folder = next(path for path in Path(world_folder(go)).glob("03_*"))
    queue = folder / "review.jsonl"
    assert not (folder / "samples.jsonl").exists()
    file, items = ReviewFile(queue), read_queue(queue)
    file.decide(items[0].id, Decision(status="rejected", by="ann", reason="wrong"))
    edited = "<think> x </think> so 1 <answer> 1 </answer>"
    file.decide(items[1].id, Decision(status="edited", by="ann", edited=edited))
    before, world.opened = queue.read_bytes(), []
    with pytest.raises(MissingError, match=rf"{len(items) - 2} of {len(items)} samples wait"):
        go("cold_start", settings)
    assert queue.read_bytes() == before, "decisions survive"
    assert world.opened == [], "nothing is sampled again"
    queue.write_text(queue.read_text().replace('"status": "pending"', '"status": "accepted"'))  # in an editor
    metrics, _ = go("cold_start", settings)
    samples = read_samples(folder / "samples.jsonl")
    assert metrics["review"] == {"accepted": len(items) - 2, "edited": 1, "rejected": 1}
    assert metrics["dropped"]["rejected"] == 1
    assert items[0].id not in {sample.id for sample in samples}
    assert samples[0].response.startswith("<think> x")
    assert samples[0].provenance["edits"][-1]["by"] == "ann"
    assert json.loads((folder / "card.json").read_text())["rejections"] == {"wrong": 1}


def test_a_queue_broken_by_hand_is_one_line_and_is_kept(go: Go) -> None:
    settings = {**COLD, "review": "human"}
    with pytest.raises(MissingError):
        go("cold_start", settings)
    queue = next(Path(world_folder(go)).glob("03_*/review.jsonl"))
    queue.write_text(queue.read_text().replace('"pending"', '"acepted"', 1))
    broken = queue.read_bytes()
    with pytest.raises(InputError, match=r"review.jsonl:1: status 'acepted' is unknown"):
        go("cold_start", settings)
    assert queue.read_bytes() == broken


def world_folder(go: Go) -> Path:
    """Where the stage runs."""
    cells = go.__closure__ or ()  # type: ignore[attr-defined]
    return next(cell.cell_contents for cell in cells if isinstance(cell.cell_contents, Path)) / "run"


def test_rejection_sampling(go: Go) -> None:
    metrics, folder = go("rejection_sampling", REJECTION)
    samples = read_samples(folder / "samples.jsonl")
    reasoning = [sample for sample in samples if sample.domain == "countdown"]
    assert len({sample.prompt for sample in reasoning}) == len(reasoning)
    assert metrics["yields"]["rejection"]["right"] == 0.75
    assert metrics["language_consistency"] >= 0.95
    assert metrics["domains"]["general"] <= 8
    assert metrics["kept"]["rejection"] == len(reasoning)
    assert all(sample.provenance["edits"] == [] for sample in samples)


def test_weights_of_the_mixture(go: Go) -> None:
    metrics, _ = go("rejection_sampling", {**REJECTION, "weights": {"countdown": 1, "general": 1}})
    assert metrics["domains"]["countdown"] == metrics["domains"]["general"]
    with pytest.raises(InputError, match=r"^stages.rejection_sampling.weights sum to nothing"):
        go("rejection_sampling", {**REJECTION, "weights": {"countdown": 0, "general": 0}})
    metrics, _ = go("rejection_sampling", {**REJECTION, "weights": {"countdown": 0}}, "other")
    assert set(metrics["domains"]) == {"general"}


def test_nothing_left_is_one_line(go: Go) -> None:
    settings = {**REJECTION, "general": {}, "filters": {"tokens": 1}}
    with pytest.raises(
        InputError, match=r"sampling: no sample is left .rejection: 80 sampled, .* 60 form, 0 length.*loosen"
    ):
        go("rejection_sampling", settings)


def test_a_cold_start_that_decontamination_empties_says_so(go: Go) -> None:
    with pytest.raises(
        InputError, match=r"cold_start: no sample is left .*then dropped: \d+ contaminated.*raise decont"
    ):
        go("cold_start", {**COLD, "general": {}, "decontaminate": 1})


def test_a_cold_start_that_drops_nothing_after_its_checks_names_no_cause(go: Go) -> None:
    with pytest.raises(InputError, match=r"r1_zero: 48 sampled, [^;]* 0 refined_language\): loosen the filters,"):
        go("cold_start", {**COLD, "general": {}, "filters": {"tokens": 1}})


def test_other_samples_that_decontamination_empties_are_told(go: Go) -> None:
    settings = {**REJECTION, "filters": {"tokens": 1}, "decontaminate": 1}
    with pytest.raises(InputError, match=r"then dropped: 8 general_contaminated\): raise decontaminate"):
        go("rejection_sampling", settings)


@pytest.mark.parametrize(("said", "kept"), [(VERDICT, 4), (VERDICT.replace('"correct"', '"incorrect"'), 0)])
def test_a_judge_in_place_of_the_rule(go: Go, world: World, said: str, kept: int) -> None:
    """A judge that says yes to all lets the wrong answers pass, one that says no lets none: the rule is not asked."""
    world.judge = said
    settings = {**REJECTION, "judge": "org/judge", "judged": ["countdown"], "keep": 0}
    settings["filters"] = {"repetition": 0, "language": 0}
    metrics, folder = go("rejection_sampling", settings)
    assert world.opened == ["r1_zero", "org/judge"]
    assert metrics["judge_asked"] == 80
    assert metrics["judge_no_json"] == metrics["judge_left_out"] == 0
    left = json.loads((folder / "card.json").read_text())["yields"]["rejection"]["left"]
    assert left["right"] == 20 * kept


def spent(folder: Path) -> dict[str, int]:
    return dict(json.loads((folder / "collected.json").read_text())["cursor"])


def tokens_of(folder: Path, route: str = "") -> int:
    """Tokens that were sampled by a route, or in all: 4 completions a prompt."""
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return round(sum(x["response_tokens"] * x["left"]["sampled"] for x in lines if route in ("", x["route"])))


def test_what_a_judge_writes_is_counted_by_its_own_parameters(go: Go, world: World) -> None:
    """80 verdicts, each the text and its end token; the policy has 10 parameters, the judge 1,000."""
    _, folder = go("rejection_sampling", {**REJECTION, "judge": "org/judge", "judged": ["countdown"]})
    cost, judged = spent(folder), 80 * (len(VERDICT) + 1)
    assert (cost["sampled_tokens"], cost["judge_tokens"]) == (tokens_of(folder), judged)
    assert cost["training_flops"] == 2 * 10 * tokens_of(folder) + 2 * 1000 * judged
    world.judge = "looks fine to me"
    _, folder = go("rejection_sampling", {**REJECTION, "judge": "org/judge", "judged": ["countdown"]}, "twice")
    assert spent(folder)["judge_tokens"] == 2 * 80 * (len(world.judge) + 1), "each is asked once more"


def test_every_sampler_and_the_refiner_count_by_their_own_parameters(go: Go) -> None:
    """R1-Zero's route is written by 10 parameters, the two others by 100, what the refiner writes by 10,000."""
    settings = {**COLD, "model": "org/other", "refiner": "org/refiner", "refiner_sampling": {"n": 1, "max_tokens": 7}}
    with pytest.raises(InputError, match="no sample is left"):  # cut at 7 tokens, so nothing is refined
        go("cold_start", settings)
    folder = next(path for path in Path(world_folder(go)).glob("03_*"))
    cost = spent(folder)
    own, others = tokens_of(folder, "r1_zero"), tokens_of(folder, "few_shot") + tokens_of(folder, "direct")
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    refined = 2 * 7 * sum(line["left"][list(line["left"])[list(line["left"]).index("refined") - 1]] for line in lines)
    assert refined > 0
    assert (cost["sampled_tokens"], cost["judge_tokens"]) == (own + others, refined)
    assert cost["training_flops"] == 2 * (10 * own + 100 * others + 10_000 * refined)


def test_a_judge_without_json_is_counted_and_its_samples_left_out(go: Go, world: World) -> None:
    world.judge = "looks fine to me"
    metrics, folder = go("rejection_sampling", {**REJECTION, "judge": "org/judge", "judged": ["countdown"]})
    assert (metrics["judge_asked"], metrics["judge_no_json"], metrics["judge_left_out"]) == (80, 80, 80)
    assert "countdown" not in metrics["domains"]
    assert json.loads((folder / "card.json").read_text())["judge"]["judge_left_out"] == 80


@pytest.mark.parametrize("stage", ["cold_start", "rejection_sampling"])
@pytest.mark.parametrize("dies_at", [1, 6, 17])
def test_a_kill_in_the_middle_changes_nothing(go: Go, world: World, stage: str, dies_at: int) -> None:
    settings = {"cold_start": COLD, "rejection_sampling": REJECTION}[stage]
    expected, straight = go(stage, settings, "straight")
    world.calls, world.dies_at = 0, dies_at
    with pytest.raises(KeyboardInterrupt):
        go(stage, settings, "killed")
    world.calls = -1000
    found, killed = go(stage, settings, "killed")
    assert found == expected
    for name in ("candidates.jsonl", "samples.jsonl", "samples.parquet", "card.json", "card.md"):
        assert (killed / name).read_bytes() == (straight / name).read_bytes(), name
    assert timeless(killed / "metrics.jsonl") == timeless(straight / "metrics.jsonl")


def test_a_kill_between_the_log_and_the_resume_point_changes_nothing(
    go: Go, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, straight = go("rejection_sampling", REJECTION, "straight")
    saved = Workspace._save
    count = iter(range(99))

    def save(self: Workspace, step: int, state: Any) -> None:
        if next(count) == 2:
            raise KeyboardInterrupt
        saved(self, step, state)

    monkeypatch.setattr(Workspace, "_save", save)
    with pytest.raises(KeyboardInterrupt):
        go("rejection_sampling", REJECTION, "killed")
    _, killed = go("rejection_sampling", REJECTION, "killed")
    for name in ("candidates.jsonl", "samples.jsonl"):
        assert (killed / name).read_bytes() == (straight / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "torn", "message"),
    [
        ("candidates.jsonl", lambda text: text[: text[:-1].rindex("\n") + 1], r"candidates\.jsonl is cut short \("),
        ("collected.json", lambda text: text[:-9], r"collected\.json is damaged; copy the run folder again, or delete"),
        ("collected.json", lambda text: "[]", r"collected\.json is damaged"),
    ],
)
def test_what_was_collected_and_is_torn_since_is_one_line(
    go: Go, name: str, torn: Callable[[str], str], message: str
) -> None:
    _, folder = go("rejection_sampling", REJECTION)
    (folder / name).write_text(torn((folder / name).read_text()))
    with pytest.raises(InputError, match=message):
        go("rejection_sampling", REJECTION)


def timeless(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "tokens_per_second")} for line in lines]


def test_a_plan_asks_every_prompt_once_however_many_ranks_share_it() -> None:
    tasks = {"countdown": Countdown("countdown", CountdownConfig())}
    plan = Plan(tasks=tasks, routes={"a": 5, "b": 0, "c": 4}, per_step=3, seed=1)
    assert [plan.step(at)[0] for at in range(len(plan))] == ["a", "a", "c", "c"]
    alone = [item for at in range(len(plan)) for item in plan.step(at)[1]]
    shared = [item for at in range(len(plan)) for rank in range(2) for item in plan.step(at, rank, 2)[1]]
    assert [number for number, _ in alone] == list(range(9))
    assert sorted(shared, key=lambda item: item[0]) == alone
    assert len({prompt.id for _, prompt in alone}) == 9


@pytest.mark.parametrize(
    ("stage", "settings", "told"),
    [
        ("cold_start", {"routes": {"r1zero": 3}}, r"routes: 'r1zero' is unknown.*Did you mean 'r1_zero'"),
        ("cold_start", {"routes": {}}, r"cold_start.routes asks no prompt"),
        ("cold_start", {"routes": {"few_shot": 3}, "few_shot": {"longest": 900}}, r"pass model.max_positions"),
        ("cold_start", {"routes": {"few_shot": 3}, "tasks": ["general"]}, r"'general' writes no worked examples"),
        (
            "cold_start",
            {"routes": {"few_shot": 3}, "few_shot": {"path": "gone.jsonl"}},
            r"cold_start: gone.jsonl: no such",
        ),
        (
            "cold_start",
            {"routes": {"few_shot": 3}, "few_shot": {"longest": 20}},
            r"cold_start: .*'countdown' is that short",
        ),
        ("cold_start", {"review_least": 3}, r"review_least = 3 is of people's decisions.*set review = \"human\""),
        ("cold_start", {"review_twice": 0.1}, r"review_twice = 0.1 is of people's decisions"),
        ("cold_start", {"judge": "org/judge"}, r"judge = 'org/judge' and judged = \[\]; set both"),
        ("cold_start", {"judge": "m", "judged": ["general"]}, r"judged names 'general'; the stage asks countdown"),
        ("cold_start", {"sampling": {"n": 0}}, r"cold_start.sampling.n = 0: must be at least 1"),
        ("rejection_sampling", {"weights": {"countdown": -1}}, r"weights.countdown = -1.*: must be at least 0"),
        (
            "rejection_sampling",
            {"weights": {"countdwn": 5.0}},
            r"weights names 'countdwn', of which there will be no sample; domains are countdown. Did you mean 'countd",
        ),
        ("rejection_sampling", {"weights": {"countdown": 0}}, r"weights sum to nothing"),
        ("rejection_sampling", {"general": {"path": "gone.jsonl"}}, r"general.path = 'gone.jsonl': no such file"),
        ("rejection_sampling", {"general": {"tasks": ["countdown"]}}, r"'countdown' has no generator"),
    ],
)
def test_bad_settings_are_one_line_before_anything_loads(stage: str, settings: dict[str, Any], told: str) -> None:
    recipe = recipe_of(stage, {**({"start": "r1_zero"} if stage != "cold_start" else {}), **settings})
    with pytest.raises(InputError, match=told):
        recipe.stages[stage].check(stage, recipe)


def test_ranks_share_the_prompts_and_bring_the_same(on_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    """Two ranks write what one does, and an error of the writer is every rank's."""
    gather(Solo(), str(tmp_path / "one"))
    told = on_ranks(2, "factory.ranked_collect:gather", str(tmp_path / "two"))
    assert told[0] == told[1] == "InputError: the writer's"
    one, two = (next(tmp_path.glob(f"{name}/*/candidates.jsonl")).read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.count(b"\n") == 7
    assert timeless(next(tmp_path.glob("one/*/metrics.jsonl"))) == timeless(next(tmp_path.glob("two/*/metrics.jsonl")))


def test_a_stage_that_is_not_in_the_recipe_is_told() -> None:
    with pytest.raises(InputError, match=r"stage 'rejection_sampling' takes in 'reasoning_rl'; earlier stages are"):
        recipe_of("rejection_sampling", {"start": "reasoning_rl"})
    with pytest.raises(InputError, match=r"stage 'cold_start' takes in 'reasoning_rl'"):
        recipe_of("cold_start", {"model": "reasoning_rl"})


def test_settings_have_the_defaults_that_were_asked_for() -> None:
    config = rejection_stage.Config()
    assert (config.keep, config.decontaminate, config.filters.language) == (4, 10, 0.95)
    assert config.model_sources == ("reasoning_rl",)
    assert replace(config, judge="some/model").model_sources == ("reasoning_rl", "some/model")
    assert replace(config, judge="sft").model_sources == ("reasoning_rl", "sft")
    assert cold_start_stage.Config().model_sources == ("r1_zero",)
    assert cold_start_stage.Config(refiner="base").model_sources == ("r1_zero", "base")
