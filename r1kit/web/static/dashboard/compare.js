// Several runs: curves over each other, stage tables side by side.

import { el, get, say } from "/static/base.js";
import { gallery } from "/static/dashboard/figures.js";
import { stageTable } from "/static/dashboard/tables.js";
import { address, spaced } from "/static/dashboard/words.js";

const HUES = ["blue", "orange", "green", "purple", "red", "teal"];

// What of a run's settings the others do not have alike.
const differs = (one) => Object.entries(one.differs).map(([key, value]) => `${key} = ${value}`).join(", ");

export function compare(place, { run, runs, parameters }) {
  const legend = place.appendChild(el("ul", { class: "legend" }));
  const tabs = place.appendChild(el("div", { class: "tabs", role: "navigation", "aria-label": "Stages" }));
  const large = place.appendChild(el("div", { class: "pair2 figures-of" }));
  const panels = place.appendChild(el("div", { class: "grid figures-of" }));
  const tables = place.appendChild(el("div", { class: "sides-of" }));
  let stage = parameters.stage ?? "", closed = false, timer = 0;

  async function draw() {
    clearTimeout(timer);
    try {
      const found = await Promise.all(runs.map((one) => get(`/api/runs/${one.number}`)));
      const counts = {};
      for (const one of found) { for (const name of Object.keys(one.drawn)) { counts[name] = (counts[name] ?? 0) + 1; } }
      const names = Object.keys(counts), most = Math.max(0, ...Object.values(counts));
      const chosen = names.includes(stage) ? stage
        : names.filter((name) => counts[name] === most).sort((a, b) => b.includes("rl") + b.includes("zero") - a.includes("rl") - a.includes("zero"))[0];
      legend.replaceChildren(...found.map((one, at) => el("li", {}, el("i", { class: HUES[at % HUES.length] }),
        el("a", { href: address(at, "overview") }, one.name), el("span", {}, [differs(runs[at]), one.verdict].filter(Boolean).join(" · ")))));
      tabs.replaceChildren(...names.map((name) => el("a",
        { href: address(run, "compare", { stage: name }), "aria-current": name === chosen ? "page" : null },
        spaced(name), el("small", {}, ` ${counts[name]} of ${runs.length}`))));
      const figures = chosen ? await get(`/api/compare?stage=${encodeURIComponent(chosen)}`) : [];
      if (closed) { return; }
      gallery(large, figures.filter((one) => one.is_large));
      gallery(panels, figures.filter((one) => !one.is_large));
      const text = JSON.stringify(found.map((view) => view.tables));
      if (tables.dataset.value !== text) {
        tables.dataset.value = text;
        tables.replaceChildren(...found.flatMap((view) => view.tables.map((one) => stageTable(one, view.name))));
      }
      timer = setTimeout(draw, found.some((one) => one.is_running) ? 2000 : 15000);
    } catch (error) {
      say(error.message, 4);
      if (!closed) { timer = setTimeout(draw, 5000); }
    }
  }

  draw();
  return {
    update(changed) { stage = changed.stage ?? ""; draw(); },
    close() { closed = true; clearTimeout(timer); },
  };
}
