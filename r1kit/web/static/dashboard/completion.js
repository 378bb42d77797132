// A completion as elements: its thinking in a fold, its answer marked, its tokens coloured.

import { el } from "/static/base.js";
import { short } from "/static/dashboard/words.js";

export const COLOURS = { "": "plain", logprob: "log-prob", entropy: "entropy", gap: "train–inference gap" };
const SAYS = {
  logprob: ["sure", "surprised", "log-probability of the token as it was sampled, in nats"],
  entropy: ["sure", "undecided", "entropy of the distribution that the token was drawn from, in nats"],
  gap: ["none", "large", "learner's log-prob less the sampler's, in nats"],
};

/** [kind, from, to]: the thinking (with its tags) and what follows it. */
export function pieces(text) {
  const close = text.indexOf("</think>"), open = text.indexOf("<think>");
  if (close < 0 && open < 0) { return [["rest", 0, text.length]]; }
  const from = open >= 0 && (close < 0 || open < close) ? open : 0;
  const to = close < 0 ? text.length : close + "</think>".length;
  return [["rest", 0, from], ["think", from, to], ["rest", to, text.length]].filter(([, begin, end]) => end > begin);
}

function answers(text, from, to) {
  const found = [];
  for (const match of text.slice(from, to).matchAll(/<answer>[\s\S]*?(?:<\/answer>|$)/g)) {
    found.push([from + match.index, from + match.index + match[0].length]);
  }
  return found;
}

function plain(text, from, to) {
  const made = [];
  let at = from;
  for (const [begin, end] of answers(text, from, to)) {
    made.push(text.slice(at, begin), el("span", { class: "answer" }, text.slice(begin, end)));
    at = end;
  }
  return [...made, text.slice(at, to)];
}

const LEAST = { logprob: 1, entropy: 1, gap: 0.01 }; // nats; full colour for less would paint rounding

/** Strength of a token's colour, 0 to 1, and the value at which it is full. */
export function scale(record, name) {
  const values = record[name].filter((value) => value !== null).map(Math.abs).sort((a, b) => a - b);
  const top = Math.max(LEAST[name], values[Math.min(values.length - 1, Math.floor(values.length * 0.98))] ?? 0);
  return { top, strength: (value) => (value === null ? 0 : Math.min(1, Math.abs(value) / top)) };
}

function coloured(record, name, from, to) {
  const { strength } = scale(record, name), made = [];
  let at = 0;
  record.text.forEach((text, place) => {
    const begin = Math.max(at, from), end = Math.min(at + text.length, to);
    if (end > begin) {
      const value = record[name][place];
      const token = el("span", { class: "token", title: `${COLOURS[name]} ${value === null ? "unknown" : short(value)}` }, text.slice(begin - at, end - at));
      token.style.setProperty("--strength", `${Math.round(strength(value) * 100)}%`);
      made.push(token);
    }
    at += text.length;
  });
  return made;
}

/**
 * @param colour a key of COLOURS; one that the record lacks is drawn plain
 * @param open whether the thinking is open
 */
export function completion(text, { record = {}, colour = "", open = true, toggled = () => {} } = {}) {
  const isColoured = Boolean(colour && record[colour]);
  const whole = isColoured ? record.text.join("") : text;
  const inner = (from, to) => (isColoured ? coloured(record, colour, from, to) : plain(whole, from, to));
  const made = pieces(whole).map(([kind, from, to]) => {
    if (kind === "rest") { return el("div", { class: "rest" }, inner(from, to)); }
    const words = whole.slice(from, to).trim().split(/\s+/).length;
    const fold = el("details", { class: "think", open }, el("summary", {}, `Thinking, ${words.toLocaleString("en")} ${words === 1 ? "word" : "words"}`), el("div", {}, inner(from, to)));
    fold.addEventListener("toggle", () => toggled(fold.open));
    return fold;
  });
  if (!whole) { made.push(el("p", { class: "empty" }, "The model wrote nothing.")); }
  return el("div", { class: "text completion", dir: "auto", tabindex: 0, role: "group", "aria-label": "Completion" }, made);
}

/** What the colours mean. */
export function legend(record, colour) {
  if (!colour || !record[colour]) { return null; }
  const [low, high, said] = SAYS[colour], { top } = scale(record, colour);
  return el("p", { class: "scale" }, low, el("i", { "aria-hidden": "true" }), `${high} (${short(top)})`, el("span", {}, said));
}
