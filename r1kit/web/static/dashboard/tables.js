// The stage table: what each checkpoint reached, the best of a row marked.

import { el } from "/static/base.js";
import { bracket, share, short } from "/static/dashboard/words.js";

export function stageTable({ table, claims }, title = "What each stage bought") {
  const head = el("tr", {}, el("th", {}, el("span", { class: "hidden" }, "task")),
    table.heads.map((name) => el("th", { class: "n", scope: "col" }, name)));
  const body = table.blocks.flatMap((block) => [
    el("tr", { class: "group" }, el("th", { colspan: table.heads.length + 1 }, `${block.title}: ${block.note}`)),
    ...block.lines.map((line) => el("tr", {}, el("th", { scope: "row" }, line.name),
      line.cells.map((cell, at) => el("td", { class: line.best.includes(at) ? "n best" : "n" },
        cell === null ? "–" : line.is_share ? share(cell.value) : short(Math.round(cell.value * 10) / 10),
        cell?.ends ? el("span", { class: "ends" }, bracket(cell.ends)) : null)))),
  ]);
  const checks = claims.length ? [el("h3", {}, "The expected shape"), el("ul", { class: "checks" },
    claims.map((claim) => el("li", { class: claim.verdict.replaceAll(" ", "-") },
      el("b", {}, claim.text), " ", el("em", {}, claim.verdict), el("span", {}, claim.found), el("span", {}, `paper: ${claim.paper}`))))] : [];
  return el("div", { class: "stage-table" },
    el("h2", {}, title, table.done ? "" : el("span", { class: "more" }, "unfinished")),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
      el("table", { class: "wide" }, el("thead", {}, head), el("tbody", {}, body))), ...checks);
}

/** Before and after of one task. */
export function changes(one, sides) {
  const rows = one.changes.map((row) => el("tr", {}, el("th", { scope: "row" }, row.name), el("td", { class: "n" }, row.before),
    el("td", { class: "n" }, row.after), el("td", { class: "n dim" }, row.change), el("td", { class: "note" }, row.note)));
  const heads = [...sides, "change"].map((name) => el("th", { class: "n", scope: "col" }, name));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${one.task}, before and after` },
    el("table", {}, el("caption", {}, `${one.task}, ${one.split} split, ${one.k} samples a problem`),
      el("thead", {}, el("tr", {}, el("td"), heads, el("td", { class: "note" }))), el("tbody", {}, rows)));
}
