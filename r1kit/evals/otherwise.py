"""What an evaluation says beyond its line: easy problems, the same ones in other words, and with examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.evals.evaluator import Evaluation
from r1kit.evals.interval import paired_difference
from r1kit.evals.numbers import numbers
from r1kit.evals.prompting import sensitivity
from r1kit.evals.settings import EvaluationConfig
from r1kit.evals.thinking import easy_tokens, is_easy

__all__ = ["otherwise", "told_otherwise"]


def otherwise(found: Evaluation, others: Mapping[str, Evaluation], config: EvaluationConfig) -> dict[str, Any]:
    """Tokens of a solved easy problem; what the same problems give in other words, and with examples.

    Args:
        found: in the recipe's prompt.
        others: by name; ``few_shot`` is with examples.
        config: of all.
    """

    def told(one: Evaluation) -> dict[str, Any]:
        return numbers(one.groups, one.scores, resamples=config.resamples, seed=config.seed)

    lines = {way: told(one) for way, one in others.items()}
    own, shown, line = told(found), lines.pop("few_shot", None), dict[str, Any]()
    if own["solved_tokens_per_problem"] is not None:
        easy = is_easy([group.prompt for group in found.groups], own["per_problem"], config)
        line["easy_tokens"] = easy_tokens(own, easy)
    if lines and own["avg_at_k"] is not None:
        averages = {way: one["avg_at_k"] for way, one in lines.items()}
        line |= {"templates": averages, **sensitivity({"": own["avg_at_k"], **averages})}
    if shown and own["avg_at_k"] is not None:
        clusters = [group.prompt.cluster or group.prompt.id for group in found.groups]
        line["few_shot"] = {
            **{name: shown[name] for name in ("avg_at_k", "interval", "response_tokens")},
            "minus_zero_shot": paired_difference(shown["per_problem"], own["per_problem"], clusters),
        }
    return line


def told_otherwise(line: Mapping[str, Any]) -> list[str]:
    """The terminal's lines on it, on languages where there are several, and on the length of what is easy."""
    found = []
    if line.get("easy_tokens") is not None:
        found.append(f"{line['easy_tokens']:.1f} tokens a solved easy problem")
    if len(line["by_language"]) > 1:
        found += [
            f"questions in {language}: {one['problems']}, "
            + ("" if one["avg_at_k"] is None else f"avg@{line['k']} {one['avg_at_k']:.3f}, ")
            + f"language consistency {one['language_consistency']:.3f}"
            for language, one in line["by_language"].items()
            if one["language_consistency"] is not None
        ]
    if "templates" in line:
        found.append(
            f"{1 + len(line['templates'])} templates: worst {line['worst_template']:.3f}, mean "
            f"{line['mean_template']:.3f}, spread {line['template_spread']:.3f}"
        )
        found += [f"  {average:.3f}  {text!r}" for text, average in line["templates"].items()]
    if "few_shot" in line:
        one, minus = line["few_shot"], line["few_shot"]["minus_zero_shot"]
        low, high = minus["interval"]
        found.append(
            f"with examples {one['avg_at_k']:.3f}, less zero-shot {minus['difference']:+.3f}  [{low:.3f}, {high:.3f}]"
        )
    return found
