// One rollout: its text, its reward, its group side by side, the same prompt over steps.

import { el, get } from "/static/base.js";
import { COLOURS, completion, legend } from "/static/dashboard/completion.js";
import { count, share, short, spaced } from "/static/dashboard/words.js";

const TABS = { text: "Completion", group: "Its group", steps: "Over steps" };

function memory(key, fallback) {
  try { return localStorage.getItem(key) ?? fallback; } catch (error) { return fallback; }
}
function remember(key, value) {
  try { localStorage.setItem(key, value); } catch (error) { /* storage is off */ }
}

export function verdict(one) {
  const said = one.right === null ? "not graded" : one.right ? "right" : "wrong";
  return el("b", { class: one.right === null ? "unknown" : said }, one.right === null ? said : `${one.right ? "✓" : "✗"} ${said}`);
}

/** @param open called with the number of another rollout to show; leave: back to the list, on a narrow page. */
export function rolloutPane({ run, open, leave }) {
  const place = el("section", { class: "pane", "aria-label": "Sample" });
  let tab = "text", number = null, shown = null, wanted = 0, closed = false;
  let isOpen = memory("r1-think", "open") === "open", colour = memory("r1-colour", "");
  const of = (what = "") => `/api/runs/${run}/rollouts/${number}${what}`;

  async function show(next) {
    if (String(next) === String(number) && shown) { return; }
    number = next;
    const mine = ++wanted;
    if (!next) { shown = null; place.replaceChildren(); return; }
    try {
      const found = await get(of());
      if (closed || mine !== wanted) { return; }
      shown = found;
      draw();
      place.scrollTop = 0;
    } catch (error) {
      if (!closed && mine === wanted) { shown = null; place.replaceChildren(el("p", { class: "empty" }, error.message)); }
    }
  }

  function draw() {
    const one = shown;
    const where = [one.model || one.stage, one.part, `step ${count(one.step)}`, one.kind === "train" ? "training" : one.kind, one.template].filter(Boolean);
    const facts = [
      one.tokens === null ? "" : `${count(one.tokens)} tokens${one.finish === "length" ? ", cut at the limit" : ""}`,
      one.language, one.version === null ? "" : `policy version ${count(one.version)}`];
    const tabs = el("div", { class: "tabs" }, Object.entries(TABS).map(([name, text]) =>
      el("button", { type: "button", "aria-pressed": String(tab === name), onclick: () => { tab = name; draw(); } }, text)));
    const body = el("div", { class: "tab-body" });
    place.replaceChildren(
      el("button", { class: "leave", onclick: leave }, "‹ Back to the list"),
      el("header", {}, el("h2", {}, verdict(one), " ", where.join(" · ")), el("p", { class: "facts" }, [one.prompt_id, ...facts].filter(Boolean).join(" · "))),
      el("div", { class: "prompt text", dir: "auto", tabindex: 0, role: "group", "aria-label": "Prompt" }, one.prompt_text || "(no prompt was recorded)"),
      tabs, body);
    ({ text: drawText, group: drawGroup, steps: drawSteps })[tab](body, wanted);
  }

  // ---- its text and its reward ------------------------------------------------------------------------------------

  function drawText(body) {
    const record = shown.per_token, bar = toolbar(record, () => { body.replaceChildren(); drawText(body); });
    const text = completion(shown.completion, { record, colour, open: isOpen, toggled: folded });
    body.append(bar, ...[legend(record, colour), text, shown.is_gone ? el("p", { class: "caption" }, "The log was written anew since this was indexed; the beginning is all that is left of it.") : null,
      record.left_out ? el("p", { class: "caption" }, `${count(record.left_out)} tokens more are not shown.`) : null].filter(Boolean), reward(shown));
  }

  function folded(value) { isOpen = value; remember("r1-think", value ? "open" : "folded"); }

  function toolbar(record, again) {
    const choice = (name) => {
      const why = name ? record.missing?.[name] : "";
      return el("button", { type: "button", "aria-pressed": String(colour === name && !why), disabled: Boolean(why), title: why || null,
        onclick: () => { colour = name; remember("r1-colour", name); again(); } }, COLOURS[name]);
    };
    const missing = Object.values(record.missing ?? {}), reasons = [...new Set(missing)];
    return el("div", { class: "toolbar" }, el("span", { id: "colour-label" }, "Colour by"),
      el("div", { class: "choice", role: "group", "aria-labelledby": "colour-label" }, Object.keys(COLOURS).map(choice)),
      reasons.length ? el("span", { class: "why" }, reasons.join("; ")) : null);
  }

  function reward(one) {
    const rows = one.parts_explained.map((part) => {
      const value = typeof part.value === "number" ? part.value : null, bar = el("i");
      bar.style.width = `${100 * Math.min(1, Math.abs(value ?? 0))}%`;
      return el("tr", {}, el("th", { scope: "row" }, spaced(part.name)), el("td", { class: "n" }, short(value)),
        el("td", { class: `gauge${value < 0 ? " below" : ""}`, "aria-hidden": "true" }, el("span", {}, bar)), el("td", { class: "note" }, part.text));
    });
    const head = el("h3", {}, `Reward ${short(one.reward)}`, one.advantage === null ? "" : el("span", {}, `advantage ${one.advantage > 0 ? "+" : ""}${short(one.advantage)}`));
    const cause = one.status !== "ok" || one.cause ? el("p", { class: "warning" }, el("b", {}, one.status), one.cause ? `: ${one.cause}` : one.status === "timeout" ? ": the verifier passed its deadline and was killed" : ": the verifier could not judge it") : null;
    return el("div", { class: "reward" }, head, cause,
      rows.length ? el("table", {}, el("tbody", {}, rows)) : el("p", { class: "empty" }, "No part of a reward was recorded."),
      one.answer === null || one.answer === undefined ? null : el("p", { class: "facts" }, "Answer that was judged: ", el("code", {}, one.answer)));
  }

  // ---- its group --------------------------------------------------------------------------------------------------

  async function drawGroup(body, mine) {
    body.append(el("p", { class: "empty" }, "…"));
    const found = await get(of("/group")).catch((error) => error.message);
    if (closed || mine !== wanted || tab !== "group") { return; }
    if (typeof found === "string") { body.replaceChildren(el("p", { class: "empty" }, found)); return; }
    const top = Math.max(1e-9, ...found.map((one) => Math.abs(one.advantage ?? 0)));
    const known = found.some((one) => one.advantage !== null), flat = known && found.every((one) => !one.advantage);
    const mean = found.reduce((sum, one) => sum + (one.reward ?? 0), 0) / found.length;
    body.replaceChildren(
      el("p", { class: "caption" }, `${count(found.length)} completions of one prompt, mean reward ${short(mean)}. `,
        flat ? "All earned the same: no advantage, no gradient." : known ? "The bar is the advantage: how far above or below its group a completion is." : "Of an evaluation: nothing is learnt from it, so there is no advantage."),
      el("div", { class: "group" }, found.map((one) => member(one, top))));
  }

  function member(one, top) {
    const bar = el("i"), size = 50 * Math.abs(one.advantage ?? 0) / top;
    bar.style.width = `${size}%`;
    bar.style.left = `${one.advantage < 0 ? 50 - size : 50}%`;
    const isThis = one.id === shown.id;
    return el("article", { class: isThis ? "this" : "" },
      el("h3", {}, verdict(one), el("span", {}, `reward ${short(one.reward)} · ${count(one.tokens)} tok`),
        isThis ? el("em", {}, "this one") : el("button", { class: "quiet", onclick: () => { tab = "text"; open(one.id); } }, "open")),
      el("div", { class: "advantage" }, el("span", { class: `axis${one.advantage < 0 ? " below" : ""}`, "aria-hidden": "true" }, bar),
        el("small", {}, one.advantage === null ? "no advantage" : `advantage ${one.advantage > 0 ? "+" : ""}${short(one.advantage)}`)),
      completion(one.completion, { open: isOpen }));
  }

  // ---- the same prompt over steps -----------------------------------------------------------------------------------

  let slide = () => {};

  async function drawSteps(body, mine) {
    body.append(el("p", { class: "empty" }, "…"));
    const found = await get(of("/steps")).catch((error) => error.message);
    if (closed || mine !== wanted || tab !== "steps") { return; }
    if (typeof found === "string") { body.replaceChildren(el("p", { class: "empty" }, found)); return; }
    const longest = Math.max(1, ...found.map((one) => one.mean_tokens ?? 0));
    const here = Math.max(0, found.findIndex((one) => one.grp === shown.grp));
    const bars = found.map((one, at) => {
      const bar = el("button", { type: "button", tabindex: -1, "aria-hidden": "true", title: label(one), onclick: () => { slider.value = at; moved(); } }, el("i"));
      bar.firstChild.style.height = `${Math.max(4, 100 * (one.mean_tokens ?? 0) / longest)}%`;
      bar.firstChild.style.setProperty("--right", `${Math.round(100 * (one.right_share ?? 0))}%`);
      return bar;
    });
    const slider = el("input", { type: "range", min: 0, max: found.length - 1, step: 1, "aria-label": "Step" });
    slider.value = here;
    slider.style.maxWidth = `${48 * found.length}px`;
    const at = el("p", { class: "at", role: "status" }), text = el("div", { class: "grown" });
    let asked = 0;
    async function moved() {
      const one = found[Number(slider.value)], turn = ++asked;
      slider.setAttribute("aria-valuetext", label(one));
      bars.forEach((bar, place_of) => bar.classList.toggle("now", place_of === Number(slider.value)));
      at.textContent = label(one);
      const told = await get(`/api/runs/${run}/rollouts/${one.id}`).catch(() => null);
      if (!told || turn !== asked || closed) { return; }
      text.replaceChildren(el("p", { class: "facts" }, verdict(told), ` reward ${short(told.reward)} · ${count(told.tokens)} tokens · the first of its group of ${count(one.n)} `,
        el("button", { class: "quiet", onclick: () => { tab = "text"; open(one.id); } }, "open")), completion(told.completion, { open: isOpen, toggled: folded }));
    }
    slide = (by) => { slider.value = Number(slider.value) + by; moved(); };
    slider.addEventListener("input", moved);
    body.replaceChildren(...[
      el("p", { class: "caption" }, found.length > 1 ? `This prompt was sampled ${count(found.length)} times over the run. Bars: mean length of its group, the full part the share that is right.` : "This prompt was sampled once; evaluations ask the same prompts every time."),
      found.length > 1 ? el("div", { class: "bars" }, bars) : null, found.length > 1 ? slider : null, at, text].filter(Boolean));
    moved();
  }

  function label(one) {
    const right = one.right_share === null ? "" : ` · ${share(one.right_share, 2)} right`;
    return `${one.model || one.stage}${one.part ? ` ${one.part}` : ""}, step ${count(one.step)}${right} · ${count(one.mean_tokens)} tokens · reward ${short(one.mean_reward)}`;
  }

  function key(event) {
    if (!shown) { return false; }
    const named = { t: "text", g: "group", s: "steps" }[event.key];
    if (named) { tab = named; draw(); return true; }
    if (event.key === "f") { folded(!isOpen); for (const fold of place.querySelectorAll("details.think")) { fold.open = isOpen; } return true; }
    if (event.key === "c") {
      const known = Object.keys(COLOURS).filter((name) => !name || !shown.per_token.missing?.[name]);
      colour = known[(known.indexOf(colour) + 1) % known.length];
      remember("r1-colour", colour); draw(); return true;
    }
    if (tab === "steps" && (event.key === "ArrowLeft" || event.key === "ArrowRight")) { slide(event.key === "ArrowLeft" ? -1 : 1); return true; }
    if (event.key === "Escape") { leave(); return true; }
    return false;
  }

  return { place, show, key, close() { closed = true; } };
}
