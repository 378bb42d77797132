// Progress, people, agreement, and the list of all samples.
import { el, get, say } from "/static/base.js";
import { WAITS } from "./draw.js";

const DECIDED = ["accepted", "edited", "rejected"];
const percent = (share) => `${Math.round(100 * share)}%`;
const number = (value) => el("td", { class: "n" }, String(value));

export function progress(place, told) {
  const bars = DECIDED.map((name) => {
    const bar = el("i", { class: name });
    bar.style.width = `${100 * told.statuses[name] / Math.max(1, told.total)}%`;
    return bar;
  });
  const counts = [...DECIDED.map((name) => [name, told.statuses[name]]), ["open", told.open]];
  const spoken = counts.map(([name, count]) => `${name} ${count}`).join(", ");
  place.replaceChildren(
    el("h2", {}, `${told.total - told.open} of ${told.total} decided`),
    el("div", { class: "bars", role: "img", "aria-label": spoken }, bars),
    el("ul", { class: "counts" }, counts.map(([name, count]) => el("li", {}, el("i", { class: name }), `${name} ${count}`))),
    el("p", {}, told.standing),
    told.told && told.told !== told.standing ? el("p", {}, told.told) : "",
    told.present.length ? el("p", {}, `Here too: ${told.present.join(", ")}.`) : "",
    table("People", "decisions", told.people), table("Why rejected", "samples", told.reasons), ...agreement(told));
}

function heads(...names) {
  return el("thead", {}, el("tr", {}, names.map((name, at) => el("th", { scope: "col", class: at ? "n" : null }, name))));
}

function table(title, unit, counts) {
  const rows = Object.entries(counts).map(([name, count]) => el("tr", {}, el("th", { scope: "row" }, name), number(count)));
  return rows.length ? el("table", {}, heads(title, unit), el("tbody", {}, rows)) : "";
}

function agreement({ agreement: found, twice }) {
  if (!twice && !found.items) { return []; }
  if (!found.items) { return [el("p", {}, `${twice} samples go to two people; none has both yet.`)]; }
  const kappa = found.kappa === undefined ? "" : `, Cohen's kappa ${found.kappa.toFixed(2)}`;
  const rows = found.pairs.map((pair) => el("tr", {}, el("th", { scope: "row" }, pair.people.join(" and ")),
    number(pair.items), number(percent(pair.share)), number(pair.kappa?.toFixed(2) ?? "–")));
  return [el("p", {}, `Two people decided ${found.items} of ${twice}: ${percent(found.share)} alike${kappa}.`),
    el("table", {}, heads("Agreement", "samples", "alike", "kappa"), el("tbody", {}, rows))];
}

/** The list of samples; returns a function that draws it again. */
export function list(who, open) {
  const rows = document.getElementById("rows"), words = document.getElementById("words");
  const show = document.getElementById("show");
  let asked = 0, timer = 0;

  function line(row) {
    const state = row.waits ? (row.waits === "decision" ? "" : WAITS[row.waits]) : row.status;
    const isCurrent = row.id === who().id || null;
    return el("li", {}, el("button",
      { type: "button", "data-id": row.id, title: row.id, "aria-current": isCurrent, onclick: () => open(row.id) },
      el("span", { class: "n" }, String(row.number)), el("span", { class: "q" }, row.question), el("span", { class: "n" }, state)));
  }

  function more(left, from) {
    return el("li", {}, el("button", { type: "button", onclick(event) { event.target.parentElement.remove(); draw(from); } }, `${left} more`));
  }

  async function draw(start = 0) {
    const mine = ++asked;
    const query = new URLSearchParams({ ...who(), show: show.value, words: words.value, from: String(start) });
    try {
      const found = await get(`/items?${query}`);
      if (mine !== asked) { return; }
      const made = found.rows.map(line), end = start + found.rows.length;
      if (found.total > end) { made.push(more(found.total - end, end)); }
      if (!found.total) { made.push(el("li", {}, el("p", {}, "none"))); }
      if (start) { rows.append(...made); } else { rows.replaceChildren(...made); }
    } catch (error) { say(error.message); }
  }

  words.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => draw(), 200); });
  show.addEventListener("change", () => draw());
  return () => draw();
}
