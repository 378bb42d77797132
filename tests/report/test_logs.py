"""Files of a run that is being written: what is new is read, what was cut back is read again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from r1kit.report.read.logs import Log, SmallFile, Steps, read_object
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.values import number


class Counted(list[Any]):
    """Keeps every row; ``handed`` counts all that any collector was ever handed."""

    handed = 0

    def add(self, row: Any) -> None:
        self.append(row["n"])
        Counted.handed += 1


def write(path: Path, numbers: range, mode: str = "w") -> None:
    with path.open(mode) as stream:
        stream.writelines(json.dumps({"n": n}) + "\n" for n in numbers)


def test_a_second_look_reads_only_what_came_since(tmp_path: Path) -> None:
    path, Counted.handed = tmp_path / "metrics.jsonl", 0
    log = Log(path, Counted)
    assert log.look() == []  # no file yet
    write(path, range(3))
    assert log.look() == [0, 1, 2]
    write(path, range(3, 5), "a")
    assert log.look() == [0, 1, 2, 3, 4]
    assert log.look() == [0, 1, 2, 3, 4]
    assert Counted.handed == 5


def test_a_log_cut_back_to_a_resume_point_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, range(100, 105))
    log = Log(path, Counted)
    log.look()
    os.truncate(path, len('{"n": 100}\n') * 2)
    assert log.look() == [100, 101]
    log.look()
    os.truncate(path, len('{"n": 100}\n'))
    write(path, range(200, 209), "a")  # longer than it was at the last look
    assert log.look() == [100, *range(200, 209)]


def test_a_log_that_was_replaced_or_taken_away_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, range(3))
    log = Log(path, Counted)
    log.look()
    write(tmp_path / "new", range(7, 11))
    os.replace(tmp_path / "new", path)
    assert log.look() == [7, 8, 9, 10]
    path.unlink()
    assert log.look() == []


def test_damaged_lines_are_counted_and_a_torn_last_one_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"n": 1}\nnot json\n\n[2]\n{"n": 3}\n{"n"')
    log = Log(path, Counted)
    assert log.look() == [1, 3]
    assert log.skipped == 3  # two damaged, one torn; an empty line is no damage
    with path.open("a") as stream:
        stream.write(": 4}")
    assert log.look() == [1, 3, 4]
    assert log.skipped == 2
    with path.open("a") as stream:
        stream.write('\n{"n": 5}\n')
    assert log.look() == [1, 3, 4, 5]


def test_only_the_first_lines_are_kept_where_more_are_not_wanted(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write(path, range(9))
    log = Log(path, Counted, most=4)
    assert log.look() == [0, 1, 2, 3]
    assert log.look() == [0, 1, 2, 3]


def test_a_small_file_is_parsed_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path, parsed = tmp_path / "result.json", []
    file = SmallFile(path, lambda text: parsed.append(text) or json.loads(text))  # type: ignore[func-returns-value]
    assert read_object(file) == {}
    path.write_text('{"a": 1}')
    assert [read_object(file), read_object(file)] == [{"a": 1}] * 2
    assert len(parsed) == 1
    path.write_text('{"a": 1, "b')
    assert read_object(file) == {}


def test_a_small_file_that_is_nested_too_deep_counts_as_torn(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    path.write_text('{"a": ' + "[" * 100_000)
    assert read_object(SmallFile(path, json.loads)) == {}


def test_a_number_beyond_any_float_counts_as_missing(tmp_path: Path) -> None:
    huge = 10**400
    assert [number({"a": value}, "a") for value in (huge, -huge, 10**300, 7, True, None)] == [
        None,
        None,
        1e300,
        7.0,
        None,
        None,
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1, "reward": {huge}}}\n{{"step": {huge}, "reward": 1}}\n')
    assert Log(path, Steps).look().rows == [{"step": 1, "reward": huge}]


def test_a_run_folder_sees_what_came_since_its_last_look(tmp_path: Path) -> None:
    folder = tmp_path / "01_r1_zero"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\n{"step": 2')
    run = RunFolder(tmp_path)
    (stage,) = run.stages
    assert (stage.steps_done, stage.done, stage.skipped) == (1, False, {"metrics.jsonl": 1})
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write(', "reward": 0.75}\n')
    (folder / "result.json").write_text('{"seconds": 3.5}')
    (tmp_path / "02_sft").mkdir()
    assert run.stages[0] is stage
    assert (stage.steps_done, stage.done, stage.skipped) == (2, True, {})
    assert [found.name for found in run.stages] == ["r1_zero", "sft"]
