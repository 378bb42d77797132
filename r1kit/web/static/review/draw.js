// A sample on the page. What a model wrote goes in as text; maths is set by KaTeX, which trusts nothing in it.
import { el } from "/static/base.js";

const LONGEST = 20000; // characters shown before a button shows the rest

function maths(piece) {
  const isDisplay = piece.kind === "display", place = el(isDisplay ? "div" : "span");
  const bounds = { trust: false, maxSize: 20, maxExpand: 200 };
  const options = { ...bounds, displayMode: isDisplay, throwOnError: false, errorColor: "var(--red)", strict: "ignore" };
  try { window.katex.render(piece.text, place, options); } catch (error) { place.textContent = piece.text; }
  return place;
}

function draw(piece) {
  if (piece.kind === "inline") { return el("code", {}, piece.text); }
  if (piece.kind === "code") {
    const words = piece.words.map(([name, word]) => (name ? el("span", { class: name }, word) : word));
    return el("pre", { tabindex: "0" }, el("code", {}, words));
  }
  return piece.kind !== "text" && window.katex ? maths(piece) : document.createTextNode(piece.text);
}

/** Without the line ends beside a block, which stands on lines of its own anyway. */
function trimmed(piece, before, after) {
  let { text } = piece;
  if (["display", "code"].includes(before?.kind)) { text = text.replace(/^[^\S\n]*\n+/, ""); }
  if (["display", "code"].includes(after?.kind)) { text = text.replace(/\n+[^\S\n]*$/, ""); }
  return { ...piece, text };
}

/** Pieces of a text; of a very long one the beginning, and a button for the rest. */
export function text(all) {
  const pieces = all.map((piece, at) => (piece.kind === "text" ? trimmed(piece, all[at - 1], all[at + 1]) : piece));
  const place = el("div", { class: "piece", dir: "auto" });
  let room = LONGEST;
  function add(rest) {
    for (const [at, piece] of rest.entries()) {
      if (piece.text.length > room) {
        const cut = piece.kind === "text" ? room : 0;
        if (cut) { place.append(piece.text.slice(0, cut)); }
        const later = [cut ? { ...piece, text: piece.text.slice(cut) } : piece, ...rest.slice(at + 1)];
        const length = later.reduce((sum, each) => sum + each.text.length, 0);
        const more = `Show ${length.toLocaleString("en")} more characters`;
        place.append(el("button", { type: "button", onclick(event) { event.target.remove(); room = Infinity; add(later); } }, more));
        return;
      }
      room -= piece.text.length;
      place.append(draw(piece));
    }
  }
  add(pieces);
  return place;
}

export const WAITS = { decision: "open", second: "waits for a second", settling: "two disagree" };
const NAMES = { thinking: "Thinking", summary: "Summary", answer: "Answer", rest: "Response" };

function badge(item) {
  let words = item.waits ? WAITS[item.waits] : `${item.status} by ${item.by || "unknown"}`;
  if (item.waits && item.by === "automatic") { words = "open, accepted automatically"; }
  return el("span", { class: `badge ${item.waits || item.status}` }, words);
}

function reference(item) {
  const facts = Object.entries(item.facts).map(([key, value]) => `${key} ${value}`).join(" · ");
  const rule = facts ? `none written down; the rule judges by ${facts}` : "none";
  const told = item.reference.length ? text(item.reference) : el("div", { class: "piece" }, rule);
  return el("dl", { class: "reference" }, el("dt", {}, "Reference"), el("dd", {}, told));
}

/** The sample: question, reference, response. */
export function sample(item, raw) {
  const origin = Object.entries(item.origin).map(([key, value]) => (key === "version" ? `step ${value}` : String(value)));
  const meta = el("div", { class: "meta" }, el("b", {}, `Sample ${item.number}`), badge(item),
    el("span", {}, `${item.domain} · ${item.language}`), el("span", {}, [...new Set(origin)].join(" · ")),
    el("span", { class: "id" }, item.id));
  const earlier = item.earlier.map((turn) => el("dl", { class: "reference" }, el("dt", {}, turn.role), el("dd", {}, text(turn.text))));
  const parts = Object.entries(item.sections).map(([name, pieces]) =>
    el("section", { class: `part ${name}` }, el("h2", {}, NAMES[name]), text(pieces)));
  const whole = el("section", { class: "part whole" }, el("pre", { class: "raw", tabindex: "0" }, item.raw));
  return [meta, ...earlier, el("h1", { class: "question" }, text(item.question)), reference(item),
    el("div", { class: "response" }, raw ? whole : parts)];
}

function when(at) {
  const date = new Date(at.replace(/([+-]\d\d)(\d\d)$/, "$1:$2"));
  return Number.isNaN(date.valueOf()) ? at : date.toLocaleString();
}

function told(decision) {
  const put = decision.status === "pending" ? "put it back" : decision.status;
  const more = [decision.reason, decision.fault && `kept although ${decision.fault}`,
    decision.blind && "without seeing the other's", decision.via && `by ${decision.via}`];
  return `${decision.by} ${decision.undo ? "took back a decision" : put}${decision.at ? `, ${when(decision.at)}` : ""}`
    + more.filter(Boolean).map((each) => ` (${each})`).join("");
}

/** What was done to it before, and by whom. */
export function past(item) {
  const found = [];
  if (item.history.length) {
    found.push(el("details", { open: item.waits === "settling" }, el("summary", {}, `History (${item.history.length})`),
      el("ul", {}, item.history.map((each) => el("li", {}, told(each))))));
  }
  if (item.refined.length || item.completion) {
    const edits = item.refined.map((each) => el("li", {}, `${each.what} by ${each.by}: ${each.detail ?? ""}`));
    const before = item.completion ? [el("p", {}, "As it was sampled:"), el("pre", { tabindex: "0" }, item.completion)] : [];
    found.push(el("details", {}, el("summary", {}, "What the refiner changed"), el("ul", {}, edits), before));
  }
  for (const edit of item.edits) {
    found.push(el("details", { open: item.waits === "settling" }, el("summary", {}, `Edit by ${edit.by}`),
      el("div", { class: "text changes", tabindex: "0" }, changes(edit.changes))));
  }
  return found;
}

/** An edit against the response as it came. */
export function changes(found) {
  const tags = { same: "span", gone: "del", new: "ins" };
  return found.map(([kind, words]) => el(tags[kind], {}, words));
}
