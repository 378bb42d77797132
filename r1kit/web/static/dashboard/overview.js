// The run at first sight: what it reached, what is wrong, its stages, the two figures, the table, aha candidates.

import { el, get, say } from "/static/base.js";
import { gallery } from "/static/dashboard/figures.js";
import { stageTable } from "/static/dashboard/tables.js";
import { address, count, duration, roughly } from "/static/dashboard/words.js";

export function overview(place, { run }) {
  const sections = {};
  let drawn = "", closed = false;
  for (const name of ["verdict", "findings", "stages", "figures", "tables", "aha", "notes"]) {
    sections[name] = place.appendChild(el("section", { class: `of-${name}` }));
  }

  /** Draw a section again only when what it shows has changed: open folds and the reader's place stay. */
  function put(name, value, draw) {
    const text = JSON.stringify(value);
    if (sections[name].dataset.value === text) { return; }
    sections[name].dataset.value = text;
    sections[name].replaceChildren(...draw(value).filter(Boolean));
  }

  async function figures(value) {
    const stage = value.headline, stamp = `${stage} ${value.drawn[stage] ?? ""}`;
    if (!stage || stamp === drawn) { return; }
    drawn = stamp;
    try {
      const found = await get(`/api/runs/${run}/stage?large&name=${encodeURIComponent(stage)}`);
      if (closed) { return; }
      if (sections.figures.dataset.stage !== stage) {
        sections.figures.dataset.stage = stage;
        sections.figures.replaceChildren(
          el("h2", {}, found.title, el("a", { class: "more", href: address(run, "metrics", { stage }) }, "every metric")),
          el("div", { class: "pair2 figures-of" }));
      }
      gallery(sections.figures.querySelector(".figures-of"), found.figures);
    } catch (error) { drawn = ""; say(error.message, 4); }
  }

  return {
    look(value) {
      put("verdict", value.verdict, (text) => [el("p", { class: "verdict" }, text)]);
      put("findings", value.status.illnesses, (found) => findings(run, found));
      put("stages", [value.lineage, value.status.stages, value.status.left], () => stages(run, value));
      put("tables", value.tables, (tables) => tables.map((one) => stageTable(one)));
      put("aha", value.aha, (found) => aha(run, found));
      put("notes", value.status.notes, (notes) => notes.length
        ? [el("h2", {}, "Notes"), el("ul", {}, notes.map((note) => el("li", {}, note)))] : []);
      figures(value);
    },
    close() { closed = true; },
  };
}

function findings(run, found) {
  if (!found.length) { return []; }
  const cards = found.map((one) => {
    const since = one.since === null ? "" : `, since step ${count(one.since)}`;
    const links = [];
    if (one.metric && one.stage) { links.push(el("a", { href: address(run, "metrics", { stage: one.stage }) }, "its curve")); }
    if (one.stage) {
      const from = one.since === null ? "" : one.since;
      links.push(el("a", { href: address(run, "samples", { stage: one.stage, step_from: from }) }, "its samples"));
    }
    return el("article", { class: `illness ${one.severity}` },
      el("h3", {}, one.name, el("span", {}, ` ${one.stage}${since}`)),
      el("p", {}, `${one.seen.charAt(0).toUpperCase()}${one.seen.slice(1)}.`),
      one.example ? el("details", {}, el("summary", {}, `A completion: ${one.example.says}`),
        el("pre", { tabindex: 0 }, one.example.completion)) : null,
      el("p", { class: "caption" }, one.helps, one.setting
        ? [" Setting: ", el("code", {}, `${one.setting}${one.value === null ? "" : ` = ${JSON.stringify(one.value)}`}`), "."] : "",
      links.length ? [" See ", ...links.flatMap((link, at) => (at ? [" and ", link] : [link])), "."] : ""));
  });
  return [el("h2", {}, "The doctor"), el("div", { class: "illnesses" }, cards)];
}

function stages(run, value) {
  const states = Object.fromEntries(value.status.stages.map((stage) => [stage.name, stage]));
  const cards = value.lineage.map((node) => {
    const stage = states[node.name], state = node.outside ? "outside" : stage?.state ?? "waiting";
    const part = stage?.steps ? Math.min(1, stage.steps_done / stage.steps) : 0;
    const bar = el("i");
    bar.style.width = `${100 * (state === "done" ? 1 : part)}%`;
    const of = stage && state !== "done" && stage.steps ? `step ${count(stage.steps_done)} of ${count(stage.steps)}` : "";
    const spent = stage && state !== "waiting" && stage.seconds !== null ? duration(stage.seconds) : "";
    const left = stage?.left && state !== "done" ? `${roughly(stage.left)} left` : "";
    const told = node.outside ? "a model from outside" : [of, spent, left].filter(Boolean).join(" · ");
    const what = result(node.left, stage?.reached ?? "");
    const name = node.name in value.drawn
      ? el("a", { href: address(run, "metrics", { stage: node.name }) }, node.title) : node.title;
    return el("li", { class: state },
      el("div", { class: "line" }, el("b", {}, name), el("span", { class: `state ${state}` }, state === "outside" ? "" : state)),
      el("span", { class: "bar", "aria-hidden": "true" }, bar),
      el("span", {}, told || " "),
      what ? el("span", { class: "left" }, what) : null,
      node.sources.length ? el("span", { class: "from" }, `from ${node.sources.join(", ")}`) : null);
  });
  return [el("h2", {}, "Stages"), el("ol", { class: "chain" }, cards)];
}

/** What a stage left and what that reached, without saying anything twice. */
function result(left, reached) {
  const model = left.replace(/^a model: /, "");
  if (!left || !reached || model !== left) { return [model, reached].filter(Boolean).join(": "); }
  if (left.includes(reached)) { return left; }
  return left.split(", ").every((name) => reached.includes(name)) ? reached : `${left}: ${reached}`;
}

function aha(run, found) {
  if (!found.length) { return []; }
  const shown = found.map((one) => el("article", { class: "aha" },
    el("p", { class: "kicker" }, `${one.title} · ${one.row.turns ?? "?"} turns, the last at “${one.row.word ?? ""}”`),
    el("p", { class: "text" }, String(one.row.question ?? "")),
    el("p", { class: "text soft" }, String(one.row.excerpt ?? "")),
    el("a", { href: address(run, "samples", { stage: one.stage, text: String(one.row.question ?? "").slice(0, 200) }) },
      "samples of this question")));
  return [el("h2", {}, "Aha candidates"),
    el("p", { class: "caption" }, "Chains that stop, doubt and turn, found by rule among right answers; whether one is an insight is for the reader."),
    el("div", { class: "ahas" }, shown)];
}
