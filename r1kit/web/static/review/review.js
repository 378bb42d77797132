// The review desk: one sample at a time, a decision a key.
import { el, isTyping, live, post, say } from "/static/base.js";
import * as draw from "./draw.js";
import { list, progress } from "./side.js";

const $ = (id) => document.getElementById(id);
const desk = document.querySelector(".desk");
const button = (act) => document.querySelector(`[data-act="${act}"]`);

function stored(key) { try { return localStorage.getItem(key) ?? ""; } catch (error) { return ""; } }
function store(key, value) {
  try { if (value) { localStorage.setItem(key, value); } else { localStorage.removeItem(key); } } catch (error) { /* storage is off */ }
}

const client = Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(36)).join("");
let name = desk.dataset.name || stored("r1-review-name");
let item = null, mode = "view", raw = false, busy = false, anyway = false, lastSign = Date.now();
let refresh = () => {};
const skipped = new Set(), visited = [];
const who = () => ({ client, name, id: item?.id ?? "" });
const draftOf = (id) => `r1-review-draft:${location.host}:${id}`;

// ---- the sample -----------------------------------------------------------------------------------------------------

function show(found, banner = "") {
  const isOther = found?.id !== item?.id;
  if (isOther && item && visited.at(-1) !== item.id) { visited.push(item.id); }
  item = found;
  if (isOther) {
    setMode("view");
    window.scrollTo(0, 0);
    history.replaceState(null, "", item ? `#${encodeURIComponent(item.id)}` : "#");
    if (item && stored(draftOf(item.id))) { say("There is a draft of yours for this sample: e opens it.", 6); }
  }
  $("banner").textContent = banner || hint();
  redraw();
}

function hint() {
  if (!item) { return ""; }
  const lines = [];
  if (item.waits === "settling") { lines.push("Two people decided this differently, see below. Your decision settles it."); }
  if (item.blind) { lines.push("Two people decide this sample; neither sees the other's decision before."); }
  if (item.fault) { lines.push(`Kept although ${item.fault}.`); }
  if (item.others.length) { lines.push(`${item.others.join(", ")} ${item.others.length > 1 ? "are" : "is"} at this sample too.`); }
  return lines.join(" ");
}

function redraw() {
  const nothing = [el("div", { class: "done" }, el("h2", {}, "Nothing left to decide"),
    "What is open waits for somebody else. The list has all samples; any can be decided anew.")];
  $("item").replaceChildren(...(item ? draw.sample(item, raw) : nothing));
  $("below").replaceChildren(...(item ? draw.past(item) : []));
  for (const each of document.querySelectorAll(".actions [data-act]")) {
    each.disabled = !item && !["undo", "back"].includes(each.dataset.act);
  }
  for (const row of document.querySelectorAll("#rows [data-id]")) {
    if (row.dataset.id === item?.id) { row.setAttribute("aria-current", "true"); } else { row.removeAttribute("aria-current"); }
  }
}

/** One thing at a time; what the server says against it is shown, with the sample as it stands. */
async function doing(work) {
  if (busy) { return; }
  busy = true;
  $("item").setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (error.code === "conflict") { show(error.value.item, error.message); } else { say(error.message, 12); }
  } finally {
    busy = false;
    $("item").setAttribute("aria-busy", "false");
  }
}

async function next() { show((await post("/next", { ...who(), skipped: [...skipped] })).item); }
async function open(id, banner) { show((await post("/open", { ...who(), id })).item, banner); }

// ---- decisions ------------------------------------------------------------------------------------------------------

async function decide(status, more = {}) {
  const decided = item;
  const found = await post("/decide", { ...who(), id: item.id, state: item.state, status, ...more });
  if (found.fault) {
    anyway = true;
    $("checked").replaceChildren(el("span", {}, el("b", { class: "wrong" }, found.fault)),
      el("span", {}, "Ctrl ↵ once more keeps the edit all the same"));
    return;
  }
  store(draftOf(decided.id), "");
  skipped.delete(decided.id);
  say(`Sample ${decided.number} ${status}; u undoes it.`, 4);
  await next();
  refresh();
}

const acts = {
  accept: () => decide("accepted"),
  edit() { setMode("edit"); },
  reject() { setMode(mode === "reject" ? "view" : "reject"); },
  async skip() { skipped.add(item.id); await next(); },
  async back() {
    const before = visited.pop();
    if (!before) { say("This is where you began.", 3); return; }
    item = null; // so that going back is not a visit
    await open(before);
  },
  async undo() {
    const found = (await post("/undo", who())).item;
    show(found, `Taken back. Sample ${found.number} is ${found.waits ? draw.WAITS[found.waits] : found.status} again.`);
    refresh();
  },
  raw() {
    raw = !raw;
    button("raw").setAttribute("aria-pressed", String(raw));
    redraw();
  },
  save: () => decide("edited", { edited: $("edited").value, anyway }),
  cancel() { setMode("view"); },
};

function act(work) { if (name) { doing(work); } else { askName(); } }

function setMode(to) {
  mode = to;
  desk.classList.toggle("editing", to === "edit");
  $("editor").hidden = to !== "edit";
  $("rejection").hidden = to !== "reject";
  if (to === "edit") {
    $("edited").value = stored(draftOf(item.id)) || item.edited || item.response;
    anyway = false;
    check();
    $("edited").focus();
    $("edited").setSelectionRange(0, 0);
    $("edited").scrollTop = 0;
  } else {
    $("reason").value = "";
    if (document.activeElement?.closest("#editor, #rejection, .actions")) { document.activeElement.blur(); }
    if (to === "reject") { $("rejection").scrollIntoView({ block: "nearest" }); }
  }
}

// ---- an edit is checked as it is written ----------------------------------------------------------------------------

let checks = 0, timers = [];
function check() {
  const mine = ++checks, id = item.id, edited = $("edited").value;
  timers.forEach(clearTimeout);
  const ask = async (judge) => {
    try {
      const found = await post("/check", { id, edited, judge });
      if (mine === checks && mode === "edit") { told(found); }
    } catch (error) { if (mine === checks) { say(error.message, 6); } }
  };
  timers = [setTimeout(ask, 120, false), setTimeout(ask, 600, true)];
}

function told(found) {
  $("changes").replaceChildren(...draw.changes(found.changes));
  if (anyway) { return; }
  const line = [[found.fault ? "wrong" : "right", found.fault ? `Form: ${found.fault}` : "Form and filters: as asked"]];
  if (!found.judged) { line.push(["unknown", "the answer is being judged …"]); }
  else if (found.right === null) { line.push(["unknown", found.told]); }
  else {
    const read = found.answer ? ` (read as ${found.answer})` : "";
    line.push([found.right ? "right" : "wrong", `The answer is ${found.right ? "right" : "wrong"}${read}, reward ${found.reward}`]);
  }
  $("checked").replaceChildren(...line.map(([kind, words]) => el("span", {}, el("b", { class: kind }, words))));
}

$("edited").addEventListener("input", () => {
  anyway = false;
  store(draftOf(item.id), $("edited").value === item.response ? "" : $("edited").value);
  check();
});
$("editor").addEventListener("submit", (event) => event.preventDefault());
$("rejection").addEventListener("submit", (event) => {
  event.preventDefault();
  act(() => decide("rejected", { reason: $("reason").value }));
});
const reasons = [...document.querySelectorAll("[data-reason]")];
for (const each of reasons) {
  each.addEventListener("click", () => act(() => decide("rejected", { reason: each.dataset.reason })));
}

// ---- keys and buttons -----------------------------------------------------------------------------------------------

for (const each of document.querySelectorAll("[data-act]")) {
  each.addEventListener("click", () => act(acts[each.dataset.act]));
}
$("keys").addEventListener("click", () => $("help").showModal());
$("who").addEventListener("click", askName);
document.addEventListener("pointerdown", () => { lastSign = Date.now(); });

const KEYS = {
  a: "accept", e: "edit", r: "reject", s: "skip", j: "skip", ArrowRight: "skip", k: "back", ArrowLeft: "back", u: "undo", v: "raw",
};

/** What a key does while the panel for reasons is open; false: what it does elsewhere. */
function chosen(event) {
  const reason = /^[1-9]$/.test(event.key) && reasons[Number(event.key) - 1];
  if (reason) { reason.click(); return true; }
  if (event.key === "0") { $("reason").focus(); return true; }
  if (event.key === "Enter" && !event.target.closest?.("button, a, summary")) {
    act(() => decide("rejected", { reason: "" }));
    return true;
  }
  return false;
}

document.addEventListener("keydown", (event) => {
  lastSign = Date.now();
  if (document.querySelector("dialog[open]")) { return; }
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (mode === "edit" && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    act(acts.save);
  } else if (event.key === "Escape" && mode !== "view") {
    event.preventDefault();
    setMode("view");
  } else if (isPlain && !isTyping(event) && mode !== "edit" && !event.repeat) {
    const named = KEYS[event.key];
    if (mode === "reject" && chosen(event)) { event.preventDefault(); }
    else if (event.key === "?") { event.preventDefault(); $("help").showModal(); }
    else if (event.key === "/") { event.preventDefault(); $("words").focus(); }
    else if (named && (item || ["undo", "back"].includes(named))) {
      event.preventDefault();
      if (mode === "reject" && named !== "reject") { setMode("view"); }
      act(acts[named]);
    }
  }
});

// ---- who, and what others do ----------------------------------------------------------------------------------------

function askName() {
  $("name").value = name;
  $("naming").showModal();
}

function called() {
  $("who").textContent = name || "your name";
  store("r1-review-name", name);
}

$("naming").addEventListener("close", () => {
  name = $("name").value.trim().replace(/\s+/g, " ") || name;
  called();
  if (name && !item) { doing(start); }
});

async function start() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (wanted) {
    try { await open(wanted); return; } catch (error) { say(error.message, 8); }
  }
  await next();
}

let drawn = "";
function looked(told) {
  progress($("progress"), told);
  const seen = told.item;
  if (seen?.state && seen.id === item?.id && seen.state !== item.state && !busy) {
    doing(() => open(item.id, "Somebody has decided this sample meanwhile; this is how it stands now."));
  }
  const counts = JSON.stringify([told.open, told.statuses]);
  if (counts !== drawn) { drawn = counts; refresh(); }
}

window.addEventListener("pagehide", () => { post("/leave", { client }, { keepalive: true }).catch(() => {}); });
called();
refresh = list(who, (id) => act(() => open(id)));
const awake = () => (Date.now() - lastSign < 240000 ? "yes" : "no");
live(() => `/progress?${new URLSearchParams({ ...who(), awake: awake() })}`, 2, looked,
  (error) => { $("banner").textContent = error.message; });
if (name) { doing(start); } else { askName(); }
