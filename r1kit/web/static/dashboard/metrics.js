// Every number of a stage, each with what it means.

import { el, get, say } from "/static/base.js";
import { gallery } from "/static/dashboard/figures.js";
import { changes } from "/static/dashboard/tables.js";
import { address, short, spaced } from "/static/dashboard/words.js";

const LOGS = { metrics: "metrics.jsonl, a line a step", evals: "eval.jsonl, a line an evaluation", parts: "parts of the reward", rollouts: "rollouts.jsonl, a line a sample" };

/** What every number means that any run may write; fetched when it is opened. */
function glossary() {
  const fold = el("details", { class: "glossary" }, el("summary", {}, "Every number that a run writes, and what it means"));
  fold.addEventListener("toggle", async () => {
    try {
      const told = await get("/api/metrics");
      fold.append(...Object.entries(told).flatMap(([log, names]) => [el("h3", {}, LOGS[log] ?? log),
        el("dl", {}, Object.entries(names).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]))]));
    } catch (error) { say(error.message, 4); }
  }, { once: true });
  return fold;
}

export function metrics(place, { run, parameters }) {
  const tabs = place.appendChild(el("div", { class: "tabs", role: "navigation", "aria-label": "Stages" }));
  const large = place.appendChild(el("div", { class: "pair2 figures-of" }));
  const panels = place.appendChild(el("div", { class: "grid figures-of" }));
  const rest = place.appendChild(el("div"));
  place.append(glossary());
  let stage = parameters.stage ?? "", drawn = "", newest = null, closed = false;

  async function draw() {
    const chosen = stage in newest.drawn ? stage : newest.headline;
    const titles = Object.fromEntries(newest.lineage.map((node) => [node.name, node.title]));
    const names = Object.keys(newest.drawn), key = JSON.stringify([names, chosen]);
    if (tabs.dataset.drawn !== key) {
      tabs.dataset.drawn = key;
      tabs.replaceChildren(...names.map((name) => el("a",
        { href: address(run, "metrics", { stage: name }), "aria-current": name === chosen ? "page" : null }, titles[name] ?? spaced(name))));
    }
    const stamp = `${chosen} ${newest.drawn[chosen] ?? ""}`;
    if (stamp === drawn) { return; }
    drawn = stamp;
    if (!chosen) { rest.replaceChildren(el("p", { class: "empty" }, "No stage has logged a step yet; the first curves come with it.")); return; }
    try {
      const found = await get(`/api/runs/${run}/stage?name=${encodeURIComponent(chosen)}`);
      if (closed || stamp !== drawn) { return; }
      gallery(large, found.figures.filter((one) => one.is_large));
      gallery(panels, found.figures.filter((one) => !one.is_large));
      const flat = Object.entries(found.constants).map(([name, value]) => `${spaced(name)} ${short(value)}`);
      rest.replaceChildren(...[
        flat.length ? el("p", { class: "caption" }, `Unchanged at every step: ${flat.join(", ")}.`) : null,
        found.figures.length ? null : el("p", { class: "empty" }, "Nothing of this stage can be drawn over steps."),
        found.changes.length ? el("h2", {}, "Before and after") : null,
        ...found.changes.map((one) => changes(one, found.sides))].filter(Boolean));
    } catch (error) { drawn = ""; say(error.message, 4); }
  }

  return {
    look(value) { newest = value; draw(); },
    update(changed) { stage = changed.stage ?? ""; if (newest) { draw(); } },
    close() { closed = true; },
  };
}
