"""What the dashboard answers: one page, and the view models as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from html import unescape
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from r1kit.errors import InputError, nearest
from r1kit.report.index.filters import ORDERS, filter_of
from r1kit.report.read.explained import explanations
from r1kit.report.read.run_view import as_json, read_run
from r1kit.web.dashboard.rollouts import LONGEST_OF_A_GROUP, harmless, listed, whole
from r1kit.web.guard import Guard, Rules
from r1kit.web.pages import answer, render
from r1kit.web.site import site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette

    from r1kit.report.draw.stage_figures import Drawn
    from r1kit.web.dashboard.runs import OpenRun

__all__ = ["dashboard_app"]

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Of a report that names none itself; ours allow their two scripts, by hash."""
_OWN_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]+)"', re.IGNORECASE)
MOST_PAGE = 10**7

Answer = Callable[[Request], Any]


def dashboard_app(runs: Sequence[OpenRun], rules: Rules) -> Guard:
    """The application; as long as it is served, the rollouts of the runs are indexed."""

    @asynccontextmanager
    async def indexing(app: Starlette) -> AsyncIterator[None]:
        for run in runs:
            run.index.start()
        yield
        for run in runs:
            await run_in_threadpool(run.index.close)

    named = {
        "/api/runs": _runs, "/api/metrics": _metrics, "/api/compare": _compare, "/api/runs/{run:int}": _overview,
        "/api/runs/{run:int}/stage": _stage, "/api/runs/{run:int}/rollouts": _rollouts,
        "/api/runs/{run:int}/facets": _facets, "/api/runs/{run:int}/rollouts/{one:int}": _one,
        "/api/runs/{run:int}/rollouts/{one:int}/group": _group,
        "/api/runs/{run:int}/rollouts/{one:int}/steps": _steps,
    }  # fmt: skip
    routes = [Route("/", _page), Route("/report/{run:int}", _report)]
    routes += [Route(path, _json(of)) for path, of in named.items()]
    name = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    made = site(routes, name=f"{name} · r1 dashboard", rules=rules, lifespan=indexing)
    made.app.state.runs = runs
    return made


def _json(of: Answer) -> Callable[[Request], Any]:
    """The route of an answer, which starlette computes in a thread, and which is sent only when it has changed."""

    def route(request: Request) -> Response:
        return answer(request, harmless(of(request)))

    return route


def _run(request: Request) -> OpenRun:
    runs: Sequence[OpenRun] = request.app.state.runs
    number: int = request.path_params["run"]
    if not 0 <= number < len(runs):
        raise HTTPException(404, f"there is no run {number}; runs are 0 to {len(runs) - 1}")
    if not (path := runs[number].folder.path).is_dir():
        raise InputError(f"the run folder {path} is gone; was it moved or deleted?")
    return runs[number]


# ---- pages ----------------------------------------------------------------------------------------------------------


def _page(request: Request) -> Response:
    return render(request, "dashboard/page.html.j2", runs=request.app.state.runs)


def _report(request: Request) -> Response:
    """The report as it would be written now, for a browser without JavaScript."""
    from r1kit.report.draw.sections import draw_page
    from r1kit.report.read.run_folder import RunFolder

    text = draw_page(read_run(RunFolder(_run(request).folder.path)))
    own = _OWN_POLICY.search(text)
    return HTMLResponse(text, headers={"content-security-policy": unescape(own[1]) if own else REPORT_POLICY})


# ---- runs -----------------------------------------------------------------------------------------------------------


def _runs(request: Request) -> Any:
    from r1kit.report.read.run_folder import RunFolder
    from r1kit.report.read.sweep import differing

    runs: Sequence[OpenRun] = request.app.state.runs
    apart = differing({run.name: RunFolder(run.folder.path) for run in runs})
    return [
        {
            "number": number, "name": run.name, "path": str(run.folder.path),
            "differs": {key: values[run.name] for key, values in apart.items()},
        }
        for number, run in enumerate(runs)
    ]  # fmt: skip


def _overview(request: Request) -> Any:
    return _run(request).overview()


def _stage(request: Request) -> Any:
    from r1kit.report.draw.stage_figures import stage_figures

    run = _run(request)
    stage = run.stage(request.query_params.get("name", ""))
    shown = {key: as_json(getattr(stage, key)) for key in ("name", "title", "kind", "is_rl", "constants")}
    changes = [
        {"task": one.curve.task, "split": one.curve.split, "k": one.curve.k, "changes": as_json(one.changes)}
        for one in stage.comparisons
    ]
    figures = stage_figures(stage, only_large="large" in request.query_params)
    return {**shown, "sides": stage.sides, "changes": changes, "figures": _drawn(figures)}


def _drawn(figures: Sequence[Drawn]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name, "title": one.title, "text": one.text, "is_large": one.is_large,
            "figure": json.loads(one.figure.to_json() or "{}"),
        }
        for one in figures
    ]  # fmt: skip


def _compare(request: Request) -> Any:
    from contextlib import ExitStack

    from r1kit.report.draw.stage_figures import overlays
    from r1kit.report.read.rl_stage import stage_lines

    stage = request.query_params.get("stage", "")
    runs: Sequence[OpenRun] = request.app.state.runs
    with ExitStack() as locks:
        for run in runs:
            locks.enter_context(run.lock)
        held = {run.name: lines for run in runs if (lines := stage_lines(run.folder, stage)) is not None}
    return _drawn(overlays(held))


def _metrics(request: Request) -> Any:
    return explanations()


# ---- rollouts -------------------------------------------------------------------------------------------------------


def _rollouts(request: Request) -> Any:
    asked = dict(request.query_params)
    order, page, upto = asked.pop("order", "").strip() or "newest", _whole(asked, "page"), _whole(asked, "upto")
    if order not in ORDERS:
        raise InputError(f"unknown order {order!r}; orders are {', '.join(ORDERS)}.{nearest(order, ORDERS)}")
    found = _run(request).index.page(filter_of(asked), order, page or 1, upto)
    return {**as_json(found), "rollouts": [listed(one) for one in found.rollouts]}


def _whole(asked: dict[str, str], name: str) -> int:
    text = asked.pop(name, "").strip() or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= 8 and int(text) <= MOST_PAGE):
        raise InputError(f"{name} must be a whole number from 0 to {MOST_PAGE:,}, got {text[:40]!r}")
    return int(text)


def _facets(request: Request) -> Any:
    return _run(request).facets()


def _found(request: Request) -> tuple[OpenRun, int]:
    """The run and the number of a rollout that it has."""
    run, number = _run(request), request.path_params["one"]
    if number > 2**62 or run.index.one(number) is None:
        raise HTTPException(404, f"there is no rollout {number}; its log may have been written anew since")
    return run, number


def _one(request: Request) -> Any:
    run, number = _found(request)
    found = run.index.one(number)
    return whole(run.index, found) if found else None


def _group(request: Request) -> Any:
    run, number = _found(request)
    members = run.index.group(number)
    return [whole(run.index, one, longest=LONGEST_OF_A_GROUP, tokens=False) for one in members]


def _steps(request: Request) -> Any:
    run, number = _found(request)
    return [listed(one) for one in run.index.over_steps(number)]
