// The page: which view of which run, its head, the keys.

import { el, get, isTyping, live, say } from "/static/base.js";
import { compare } from "/static/dashboard/compare.js";
import { metrics } from "/static/dashboard/metrics.js";
import { overview } from "/static/dashboard/overview.js";
import { samples } from "/static/dashboard/samples.js";
import { address, count, duration, roughly } from "/static/dashboard/words.js";

const VIEWS = { overview, metrics, samples, compare };
const place = document.getElementById("view"), head = document.getElementById("head");
const keys = document.getElementById("keys");
let runs = [], shown = null, stop = () => {}, newest = null;

function wanted() {
  const found = /^#\/(\d+)\/(\w+)(?:\?(.*))?$/.exec(location.hash);
  const run = found ? Math.min(Number(found[1]), runs.length - 1) : 0;
  const view = found && found[2] in VIEWS ? found[2] : "overview";
  return { run, view, parameters: Object.fromEntries(new URLSearchParams(found?.[3] ?? "")) };
}

function go() {
  const { run, view, parameters } = wanted();
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    link.href = address(run, link.dataset.view);
    if (link.dataset.view === view) { link.setAttribute("aria-current", "page"); } else { link.removeAttribute("aria-current"); }
  }
  document.querySelector("nav a[data-report]").href = `/report/${run}`;
  if (shown?.run === run && shown.view === view) { shown.made.update?.(parameters); return; }
  if (shown) { shown.made.close?.(); }
  const isOther = shown?.run !== run;
  if (isOther) { stop(); newest = null; }
  place.replaceChildren();
  document.body.dataset.view = view;
  shown = { run, view, made: VIEWS[view](place, { run, runs, parameters }) };
  if (newest) { shown.made.look?.(newest); }
  if (isOther) { stop = live(`/api/runs/${run}`, 1, looked); }
}

function looked(value) {
  newest = value;
  drawHead(value);
  shown.made.look?.(value);
}

/** What stands over every view: which run, where it is, how far its rollouts are indexed. */
function drawHead(value) {
  const { status, index } = value, now = status.stages.find((stage) => stage.state === "running");
  const stopped = status.stages.find((stage) => stage.state === "stopped");
  const state = now ? "running" : stopped ? "stopped" : status.stages.every((one) => one.state === "done") ? "done" : "waiting";
  const at = now ?? stopped;
  const told = [
    at ? `${at.name}, step ${count(at.steps_done)}${at.steps ? ` of ${count(at.steps)}` : ""}` : "",
    value.seconds ? `${duration(value.seconds)}${state === "done" ? " in all" : " so far"}` : "",
    state === "running" && status.left ? `${roughly(status.left)} left` : "",
  ].filter(Boolean);
  const name = runs.length > 1 ? chooser() : el("h1", {}, value.name);
  const line = el("p", { class: "facts" }, el("span", { class: `state ${state}` }, state), told.join(" · "));
  const notes = [];
  if (index.fault) { notes.push(index.fault); }
  else if (index.share < 1) { notes.push(`${count(index.rollouts)} rollouts indexed, ${Math.floor(index.share * 100)}% of the logs; the rest follows`); }
  const damaged = Object.entries({ ...status.skipped, ...(index.damaged ? { "rollouts.jsonl": index.damaged } : {}) });
  if (damaged.length) { notes.push(`damaged lines passed over: ${damaged.map(([log, lines]) => `${log} ${count(lines)}`).join(", ")}`); }
  const drawn = JSON.stringify([value.name, state, told, notes]);
  if (head.dataset.drawn === drawn) { return; }
  head.dataset.drawn = drawn;
  const had = head.contains(document.activeElement);
  head.replaceChildren(
    el("div", { class: "named" }, name, el("p", { class: "kicker" }, `${status.recipe}${status.seed === null ? "" : ` · seed ${status.seed}`}`)),
    line, el("p", { class: "notes" }, notes.join(" · ")));
  if (had) { head.querySelector("select")?.focus(); }
}

function chooser() {
  const chosen = (event) => { location.hash = address(Number(event.target.value), shown.view); };
  const options = runs.map((run) => el("option", { value: run.number, selected: run.number === shown.run }, run.name));
  return el("h1", {}, el("select", { "aria-label": "Run", onchange: chosen }, options));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) { return; }
  if (isTyping(event)) {
    if (event.key === "Escape") { event.target.blur(); event.preventDefault(); } // a search field would forget its words
    return;
  }
  const number = ["1", "2", "3"].indexOf(event.key);
  if (event.key === "?") { keys.showModal(); }
  else if (number >= 0) { location.hash = address(shown.run, ["overview", "metrics", "samples"][number]); }
  else if (event.key === "/" && shown.view !== "samples") { location.hash = `${address(shown.run, "samples")}?find=1`; }
  else if (!shown.made.key?.(event)) { return; }
  event.preventDefault();
});
document.getElementById("help").addEventListener("click", () => keys.showModal());
window.addEventListener("hashchange", go);

try {
  runs = await get("/api/runs");
  go();
} catch (error) {
  say(error.message);
}
