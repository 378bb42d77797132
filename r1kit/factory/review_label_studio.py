"""Label Studio: tasks with a labelling config, and its exports JSON and JSON-MIN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from r1kit.errors import InputError
from r1kit.factory.review import AUTOMATIC, Item
from r1kit.factory.review_tool import CHOICES, Answer, answered, text_of
from r1kit.files import brief

__all__ = ["CONFIG", "answers", "task"]

NAME = "label-studio"
CONFIG = """<View>
  <Header value="Question"/>
  <Text name="question" value="$question"/>
  <Header value="Reference answer"/>
  <Text name="reference" value="$reference"/>
  <Header value="Response"/>
  <Text name="response" value="$response"/>
  <Choices name="decision" toName="response" choice="single-radio" required="true" showInline="true">
    <Choice value="accept" hotkey="a"/>
    <Choice value="edit" hotkey="e"/>
    <Choice value="reject" hotkey="r"/>
  </Choices>
  <View visibleWhen="choice-selected" whenTagName="decision" whenChoiceValue="edit">
    <Header value="The response as you want it"/>
    <TextArea name="edited" toName="response" value="$response" rows="12" maxSubmissions="1" editable="true"/>
  </View>
  <View visibleWhen="choice-selected" whenTagName="decision" whenChoiceValue="reject">
    <Header value="Why?"/>
    <TextArea name="reason" toName="response" rows="1" maxSubmissions="1" editable="true"/>
  </View>
</View>
"""
"""The labelling interface: paste it under Settings, Labeling Interface, Code."""


def task(item: Item, reference: str) -> dict[str, Any]:
    """A task; what people decided so far is a prediction, which annotators see."""
    data = {
        "sample": item.id, "state": item.state, "status": "pending" if item.open else item.status,
        "question": item.sample.prompt, "reference": reference, "response": item.sample.response,
        "domain": item.sample.domain, "language": item.sample.language,
    }  # fmt: skip
    if item.open or item.by == AUTOMATIC:
        return {"data": data}
    named = {status: choice for choice, status in CHOICES.items()}
    result = [_region("decision", "choices", {"choices": [named[item.status]]})]
    result += [_region("edited", "textarea", {"text": [item.edited]})] if item.edited else []
    result += [_region("reason", "textarea", {"text": [item.reason]})] if item.reason else []
    return {"data": data, "predictions": [{"model_version": item.by or "unknown", "result": result}]}


def _region(name: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "response", "type": kind, "value": value}


def answers(where: str, table: Mapping[str, Any]) -> Iterator[Answer]:
    """Decisions of a task as Label Studio exports it; one without annotations has none."""
    if "data" not in table:
        yield _of_min(where, table)
        return
    data, annotations = table["data"], table.get("annotations", [])
    if not isinstance(data, dict) or not isinstance(annotations, list):
        raise InputError(f"{where}: 'data' must be an object and 'annotations' a list, as the export JSON has them")
    for annotation in annotations:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result", []), list):
            raise InputError(f"{where}: an annotation is an object with a list 'result', got {brief(annotation)}")
        if annotation.get("was_cancelled") or not annotation.get("result"):
            continue
        values = {
            region.get("from_name"): region.get("value") for region in annotation["result"] if isinstance(region, dict)
        }
        who, is_number = _annotator(annotation.get("completed_by"))
        yield answered(
            where, data.get("sample"), data.get("state"), _choice(where, values.get("decision")),
            {
                "by": who, "at": _time(annotation), "edited": _text(where, values.get("edited")),
                "reason": _text(where, values.get("reason")), "via": NAME,
            },
            is_number=is_number,
        )  # fmt: skip


def _of_min(where: str, table: Mapping[str, Any]) -> Answer:
    """JSON-MIN: a line an annotation, its values by the names of the config."""
    who, is_number = _annotator(table.get("annotator"))
    told = {name: text_of(where, table.get(name)) for name in ("edited", "reason")}
    return answered(
        where, table.get("sample"), table.get("state"), table.get("decision"),
        {"by": who, "at": _time(table), **told, "via": NAME}, is_number=is_number,
    )  # fmt: skip


def _annotator(told: Any) -> tuple[str, bool]:
    """(name, whether it is a number only): an id, an e-mail address, or an object with both."""
    if isinstance(told, dict):
        full = " ".join(str(told.get(key) or "") for key in ("first_name", "last_name")).strip()
        named = str(told.get("email") or full or told.get("username") or "")
        return (named, False) if named else (f"annotator {told.get('id', '?')}", True)
    if isinstance(told, str) and told.strip():
        return told, False
    return f"annotator {'?' if told is None else told}", True


def _time(told: Mapping[str, Any]) -> str:
    return str(told.get("updated_at") or told.get("created_at") or "")


def _choice(where: str, value: Any) -> Any:
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or len(choices) != 1:
        raise InputError(f"{where}: one choice 'decision' is expected, got {brief(value)}")
    return choices[0]


def _text(where: str, value: Any) -> str:
    return text_of(where, value.get("text") if isinstance(value, dict) else value)
