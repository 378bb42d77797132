// Talk to one model or to two side by side: the API's own stream, drawn as it comes. Model text is text.

import { el, get, say } from "/static/base.js";
import { stream } from "/static/chat/stream.js";

const at = (id) => document.getElementById(id);
const models = new Map();
let histories = new Map();     // model -> its own turns; another one for each chat
let asking = null;             // what stops the answers that are being written

/** Marks that hide or steer text, as signs. */
const NAMES = { 0x200b: "ZWSP", 0x200e: "LRM", 0x200f: "RLM", 0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF", 0x202d: "LRO",
  0x202e: "RLO", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xfeff: "BOM", 0x061c: "ALM" };
function visible(text) {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (sign) => {
    const code = sign.codePointAt(0);
    if (code < 0x20) { return String.fromCodePoint(0x2400 + code); }
    return code === 0x7f ? "␡" : `⟦${NAMES[code] ?? "U+" + code.toString(16).toUpperCase().padStart(4, "0")}⟧`;
  });
}

function chosen() {
  const names = [at("first").value, at("second").value];
  return names[1] && names[1] !== names[0] ? names : [names[0]];
}

function hint() {
  const lines = [];
  for (const name of chosen()) {
    const model = models.get(name);
    if (!model) { continue; }
    if (!model.r1.chat) { lines.push(`${name} has no chat template: start r1 serve with --template plain.`); }
    else if (!seesTurns(name)) { lines.push(`${name} sees one question at a time, as it was trained.`); }
  }
  at("hint").textContent = lines.join(" ");
}

/** Whether a model is shown what was said before: its template must know turns, and the user want it. */
function seesTurns(name) {
  const model = models.get(name);
  return Boolean(model) && !model.r1.one_question && at("turns_seen").checked;
}

function number(id) {
  const value = at(id).value.trim();
  return value === "" ? null : Number(value);
}

/** The request to one model, its history in front where it knows turns. */
function request(name, question) {
  const turns = seesTurns(name) ? histories.get(name) ?? [] : [];
  const system = at("system").value.trim();
  const colour = at("colour").checked;
  return {
    model: name, stream: true, stream_options: { include_usage: true }, temperature: number("temperature"),
    top_p: number("top_p"), max_tokens: number("max_tokens"), seed: number("seed"),
    ...(colour ? { logprobs: true, top_logprobs: 5 } : {}),
    messages: [...(system ? [{ role: "system", content: system }] : []), ...turns, { role: "user", content: question }],
  };
}

/** The place where one answer is drawn. */
function column(name) {
  const thought = el("pre", { tabindex: "0", "aria-label": `Thinking of ${name}` }), said = el("pre", { class: "said" });
  const summary = el("summary", {}, "Thinking");
  const thinking = el("details", { class: "thinking", open: at("open").checked, hidden: true }, summary, thought);
  const footer = el("footer", {});
  const place = el("article", { class: "answer writing", "aria-label": `Answer of ${name}` },
    el("h2", {}, visible(name)), thinking, said, footer);
  return { name, place, thinking, summary, thought, said, footer, words: 0, text: "", began: performance.now() };
}

function token(one) {
  const found = one.top_logprobs.map((other) => `${JSON.stringify(other.token)} ${percent(other.logprob)}`).join("\n");
  const made = el("span", { class: "token", title: `${percent(one.logprob)}\n\n${found}` }, visible(one.token));
  made.style.setProperty("--surprise", Math.min(1, -one.logprob / 4).toFixed(3));
  return made;
}

function percent(logprob) {
  const share = 100 * Math.exp(logprob);
  return share < 0.1 ? "under 0.1%" : `${share.toFixed(share < 10 ? 1 : 0)}%`;
}

function grow(answer, choice) {
  const { delta, logprobs } = choice;
  const coloured = logprobs !== null && logprobs !== undefined;
  if (coloured ? logprobs.reasoning_content.length : delta.reasoning_content) {
    answer.thinking.hidden = false;
    answer.thought.append(...(coloured ? logprobs.reasoning_content.map(token) : [visible(delta.reasoning_content)]));
    answer.words = answer.thought.textContent.split(/\s+/).length;
    answer.summary.textContent = `Thinking · ${answer.words} words`;
  }
  if (coloured ? logprobs.content.length : delta.content) {
    answer.said.append(...(coloured ? logprobs.content.map(token) : [visible(delta.content)]));
  }
  answer.text += delta.content ?? "";
  if (choice.finish_reason) { answer.finish = choice.finish_reason; }
}

async function write(answer, question, signal) {
  const failed = (line) => answer.place.insertBefore(el("p", { class: "failed", role: "alert" }, line), answer.footer);
  const chat = histories;
  let tokens = null;
  try {
    for await (const event of stream("/v1/chat/completions", request(answer.name, question), signal)) {
      if (event.error) { failed(event.error.message); break; }
      if (event.usage) { tokens = event.usage.completion_tokens; }
      for (const choice of event.choices) { grow(answer, choice); }
      follow();
    }
  } catch (error) {
    if (error.name === "AbortError") { answer.finish = "stopped"; } else { failed(error.message); }
  }
  answer.place.classList.remove("writing");
  const seconds = (performance.now() - answer.began) / 1000;
  const told = [];
  if (tokens !== null) { told.push(`${tokens} tokens`, `${(tokens / seconds).toFixed(0)} a second`); }
  if (answer.finish === "length") { told.push("cut at its longest"); }
  if (answer.finish === "stopped") { told.push("stopped"); }
  answer.footer.textContent = told.join(" · ");
  if (answer.finish) {
    chat.set(answer.name, [...(chat.get(answer.name) ?? []),
      { role: "user", content: question }, { role: "assistant", content: answer.text }]);
  }
}

/** Keep the newest text in sight, unless the reader has scrolled away from it. */
function follow() {
  const root = document.documentElement;
  if (root.scrollHeight - root.scrollTop - root.clientHeight < 160) { root.scrollTop = root.scrollHeight; }
}

async function ask(question) {
  const answers = chosen().map(column);
  const names = new Set(answers.map((answer) => answer.name));
  const turn = el("div", { class: "turn" }, el("div", { class: "question" }, visible(question)),
    el("div", { class: names.size > 1 ? "answers two" : "answers" }, answers.map((answer) => answer.place)));
  at("turns").append(turn);
  document.documentElement.scrollTop = document.documentElement.scrollHeight;
  asking = new AbortController();
  at("send").textContent = "Stop";
  await Promise.all(answers.map((answer) => write(answer, question, asking.signal)));
  asking = null;
  at("send").textContent = "Ask";
  at("told").textContent = answers.length > 1 ? "Both have answered." : "The answer is there.";
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (asking) { asking.abort(); return; }
  const question = at("question").value.trim();
  if (!question) { return; }
  at("question").value = "";
  ask(question);
});
at("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!asking) { at("ask").requestSubmit(); }
  }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") { asking?.abort(); } });
at("open").addEventListener("change", () => {
  for (const thinking of document.querySelectorAll(".thinking")) { thinking.open = at("open").checked; }
});
at("new").addEventListener("click", () => {
  asking?.abort();
  histories = new Map();
  at("turns").replaceChildren();
  at("question").focus();
});
for (const id of ["first", "second", "turns_seen"]) { at(id).addEventListener("change", hint); }

try {
  for (const model of (await get("/v1/models")).data) { models.set(model.id, model); }
  const first = models.get(at("first").value);
  at("temperature").value = first.r1.temperature;
  at("top_p").value = first.r1.top_p;
  if (models.size > 1) { at("second").selectedIndex = 2; }
  at("turns_seen").checked = chosen().every((name) => models.get(name).r1.turns);
  at("second").parentElement.hidden = models.size < 2;
  hint();
} catch (error) { say(error.message); }
at("question").focus();
