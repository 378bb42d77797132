// The sample browser: filters, a page of the list, one rollout beside it.

import { el, get, say } from "/static/base.js";
import { rolloutPane } from "/static/dashboard/rollout.js";
import { address, count, short } from "/static/dashboard/words.js";

const PAGE = 50;
const ORDERS = {
  newest: "newest first", oldest: "oldest first", reward: "highest reward", "-reward": "lowest reward", longest: "longest",
  shortest: "shortest", advantage: "highest advantage", "-advantage": "lowest advantage",
};
const RIGHT = { yes: "right", no: "wrong", ungraded: "not graded" };
const KINDS = { train: "training", evaluation: "evaluation" };
const FINISH = { stop: "ended by itself", length: "cut at the limit" };

export function samples(place, { run, parameters }) {
  let asked = { ...parameters }, page = null, facets = null, wanted = 0, closed = false, newest = 0, place_of = -1;
  let scrolled = 0;
  const isWide = matchMedia("(min-width: 801px)"), form = filters();
  const list = el("ol", { class: "list", "aria-label": "Samples" });
  const told = el("p", { class: "told", role: "status" }), fresh = el("button", { class: "fresh", hidden: true, onclick: () => ask({ page: 1, upto: 0 }) });
  const back = el("button", { onclick: () => turn(-1), "aria-label": "Page before" }, "‹");
  const on = el("button", { onclick: () => turn(1), "aria-label": "Next page" }, "›");
  const pager = el("div", { class: "pager" }, back, told, on, fresh);
  const pane = rolloutPane({ run, open: (number) => choose(number), leave: () => choose(0) });
  const middle = el("div", { class: "middle" }, pager, list);
  place.append(el("div", { class: "browser" }, form, middle, pane.place));

  // ---- filters --------------------------------------------------------------------------------------------------

  function field(name, label, input) {
    input.name = name;
    input.value = asked[name] ?? "";
    input.addEventListener("change", () => ask({ [name]: input.value, page: 1, upto: 0 }));
    return el("label", {}, el("span", {}, label), input);
  }

  function number(name, label) {
    const input = field(name, label, el("input", { type: "number", step: "any", inputmode: "decimal" }));
    return input;
  }

  function range(from, to, label) {
    const low = number(from, "from"), high = number(to, "to");
    return el("fieldset", { class: "range" }, el("legend", {}, label), low, high);
  }

  function filters() {
    let timer = 0;
    const text = field("text", "Words", el("input", { type: "search", placeholder: "words in a row  ( / )", maxlength: 400, class: "find" }));
    text.querySelector("input").addEventListener("input", (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => ask({ text: event.target.value, page: 1, upto: 0 }), 250);
    });
    const choose = (name, label) => field(name, label, el("select", {}, el("option", { value: "" }, "any")));
    const more = el("details", { class: "more-filters" }, el("summary", {}, "More filters"),
      choose("part", "Reward part"), range("part_from", "part_to", "its value"), range("reward_from", "reward_to", "Reward"),
      range("tokens_from", "tokens_to", "Length, tokens"), choose("language", "Language"), choose("finish", "Ended"),
      choose("status", "Verifier"), field("cause", "Cause", el("input", { type: "text", list: "causes", placeholder: "any" })),
      el("datalist", { id: "causes" }), choose("model", "Checkpoint"));
    more.open = matchMedia("(min-width: 1101px)").matches;
    const order = el("select", {}, Object.entries(ORDERS).map(([value, name]) => el("option", { value }, name)));
    const folded = (made) => { made.classList.add("fold"); return made; };
    const made = el("form", { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
      text, choose("stage", "Stage"), choose("task", "Task"), folded(choose("kind", "Sampled for")), choose("right", "Answer"),
      folded(range("step_from", "step_to", "Step")), field("order", "Order", order), more,
      el("button", { type: "reset", class: "fold", onclick: () => { setTimeout(() => { asked = {}; fill(); ask({ page: 1 }); }); } }, "Clear filters"));
    order.value = asked.order ?? "newest";
    return made;
  }

  /** What there is to choose from, with how many of each; what is chosen stays. */
  function fill() {
    if (!facets) { return; }
    const named = { right: RIGHT, kind: KINDS, finish: FINISH };
    const of = { ...facets, part: facets.parts.map((part) => ({ value: part.name })), right: Object.keys(RIGHT).map((value) => ({ value })) };
    for (const select of form.querySelectorAll("select:not([name=order])")) {
      const options = of[select.name].map(({ value, count: n }) => [value, `${named[select.name]?.[value] ?? value}${n ? ` · ${count(n)}` : ""}`]);
      const held = asked[select.name] ?? "";
      if (held && !options.some(([value]) => value === held)) { options.push([held, held]); }
      const text = JSON.stringify(options);
      if (select.dataset.options !== text) {
        select.dataset.options = text;
        select.replaceChildren(el("option", { value: "" }, "any"), ...options.map(([value, name]) => el("option", { value }, name)));
      }
      select.value = held;
      select.disabled = !options.length;
    }
    const part = facets.parts.find((one) => one.name === asked.part);
    const ends = { step: facets.steps, tokens: facets.tokens, part: part ? [part.low, part.high] : [null, null] };
    for (const [name, [low, high]] of Object.entries(ends)) {
      form.elements[`${name}_from`].placeholder = low === null ? "" : short(low);
      form.elements[`${name}_to`].placeholder = high === null ? "" : short(high);
    }
    for (const name of ["part_from", "part_to"]) { form.elements[name].disabled = !asked.part; }
    form.querySelector("#causes").replaceChildren(...facets.cause.map(({ value }) => el("option", { value })));
    form.querySelector("input[name=cause]").disabled = !facets.cause.length && !asked.cause;
    form.elements.order.value = asked.order || "newest";
  }

  async function refill() {
    try { facets = await get(`/api/runs/${run}/facets`); if (!closed) { fill(); } } catch (error) { say(error.message, 4); }
  }

  // ---- the list -------------------------------------------------------------------------------------------------

  /** Ask for other rollouts: the address says which, so that it can be sent on, and the browser's back works. */
  function ask(changed) {
    if (changed.part === "") { Object.assign(changed, { part_from: "", part_to: "" }); }
    asked = { ...asked, ...changed, one: "one" in changed ? changed.one : "" };
    history.replaceState(null, "", address(run, "samples", shownIn(asked)));
    load();
  }

  const shownIn = ({ find, upto, page: at, order, ...rest }) =>
    ({ ...rest, order: order === "newest" ? "" : order, page: at > 1 ? at : "" });

  async function load() {
    const mine = ++wanted, { one, find, ...query } = asked;
    const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== 0 && value !== undefined);
    list.setAttribute("aria-busy", "true");
    try {
      const found = await get(`/api/runs/${run}/rollouts?${new URLSearchParams(kept)}`);
      if (closed || mine !== wanted) { return null; }
      page = found;
      asked.upto = found.upto; asked.page = found.page;
      drawList();
      fill();
      return found;
    } catch (error) {
      if (!closed && mine === wanted) { list.replaceChildren(el("li", { class: "empty" }, error.message)); told.textContent = ""; }
      return null;
    } finally { list.removeAttribute("aria-busy"); }
  }

  function drawList() {
    const first = (page.page - 1) * PAGE, shown = page.rollouts.length;
    told.textContent = page.total ? `${count(first + 1)}–${count(first + shown)} of ${count(page.total)}` : "none";
    back.disabled = page.page <= 1;
    on.disabled = first + shown >= page.total;
    drawFresh();
    list.replaceChildren(...page.rollouts.map((one) => row(one)));
    if (!shown) {
      const some = Object.keys(shownIn({ ...asked, page: "", one: "" })).some((name) => shownIn(asked)[name] && !["order", "one"].includes(name));
      list.append(el("li", { class: "empty" }, some ? "No sample is like this. Fewer filters find more." : "No sample yet: they come with the first step that is recorded."));
    }
    mark();
    if (!asked.one && shown && isWide.matches) { choose(page.rollouts[0].id, { quietly: true }); }
  }

  function row(one) {
    const verdict = one.right === null ? "·" : one.right ? "✓" : "✗";
    const said = one.right === null ? "not graded" : one.right ? "right" : "wrong";
    return el("li", { "data-id": one.id }, el("a", { href: address(run, "samples", { ...shownIn(asked), one: one.id }),
      onclick: (event) => { if (!event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); choose(one.id); } } },
    el("span", { class: "facts" }, el("b", { class: `mark ${said.replace(" ", "-")}`, title: said, role: "img", "aria-label": said }, verdict),
      el("span", { class: "where" }, `${one.model || one.stage}${one.part ? ` ${one.part}` : ""} · ${count(one.step)} · ${one.task || one.prompt_id}`),
      el("span", { class: "numbers" }, one.reward === null ? "" : short(one.reward), el("small", {}, ` ${count(one.tokens)} tok`))),
    el("span", { class: "start", dir: "auto" }, one.start || "(nothing)")));
  }

  function mark() {
    place_of = page ? page.rollouts.findIndex((one) => String(one.id) === String(asked.one)) : -1;
    for (const item of list.children) {
      const link = item.querySelector("a");
      if (item.dataset.id === String(asked.one)) {
        link?.setAttribute("aria-current", "true");
        const box = item.getBoundingClientRect(), around = list.getBoundingClientRect();
        if (box.top < around.top || box.bottom > around.bottom) { list.scrollTop += box.top - around.top - around.height / 3; }
      } else { link?.removeAttribute("aria-current"); }
    }
    place.firstChild.classList.toggle("has-one", Boolean(asked.one));
  }

  /** On a narrow page a sample takes the list's place, and the browser's back leads to the list again. */
  function choose(number, { quietly = false } = {}) {
    const leaves = !asked.one && number && !quietly && !isWide.matches;
    if (leaves) { scrolled = window.scrollY; }
    asked.one = number ? String(number) : "";
    const where = address(run, "samples", shownIn(asked));
    if (!quietly) { history[leaves ? "pushState" : "replaceState"](null, "", where); }
    mark();
    pane.show(number || null);
    if (quietly) { place.firstChild.classList.remove("has-one"); }
    if (!isWide.matches && !quietly) { window.scrollTo(0, number ? 0 : scrolled); }
  }

  async function turn(by, end = "") {
    const at = (page?.page ?? 1) + by;
    if (!page || at < 1 || (at - 1) * PAGE >= page.total) { return; }
    asked = { ...asked, page: at, one: "" };
    const found = await load();
    list.scrollTop = 0;
    if (found?.rollouts.length) { choose(found.rollouts[end === "last" ? found.rollouts.length - 1 : 0].id); }
  }

  function step(by) {
    if (!page) { return; }
    const at = place_of < 0 ? (by > 0 ? 0 : page.rollouts.length - 1) : place_of + by;
    if (at < 0) { turn(-1, "last"); }
    else if (at >= page.rollouts.length) { turn(1); }
    else { choose(page.rollouts[at].id); }
  }

  /** New rollouts wait behind a button, so that the page under the reader's eyes stays. */
  function drawFresh() {
    const waiting = page && newest > page.upto;
    fresh.hidden = !waiting;
    if (waiting) { fresh.textContent = "show new ones"; }
  }

  function find() { form.elements.text.focus(); form.elements.text.select(); }

  load();
  refill();
  if (asked.one) { pane.show(asked.one); }
  if (asked.find) { setTimeout(find); }

  return {
    look(value) {
      if (value.index.newest === newest) { return; }
      newest = value.index.newest;
      const isEmpty = !page || !page.rollouts.length;
      if (isEmpty) { asked.upto = 0; load(); } else { drawFresh(); }
      clearTimeout(refill.timer);
      refill.timer = setTimeout(refill, facets ? 4000 : 0);
    },
    update(changed) {
      const same = JSON.stringify(shownIn({ ...changed, one: "" })) === JSON.stringify(shownIn({ ...asked, one: "" }));
      asked = { ...changed, upto: same ? asked.upto : 0 };
      for (const input of form.querySelectorAll("input")) { input.value = asked[input.name] ?? ""; }
      if (!same) { load(); }
      mark();
      if (asked.one) { pane.show(asked.one); } else if (!isWide.matches) { window.scrollTo(0, scrolled); }
      if (changed.find) { find(); }
    },
    key(event) {
      const done = { j: () => step(1), k: () => step(-1), "[": () => turn(-1), "]": () => turn(1), "/": find }[event.key];
      if (done) { done(); return true; }
      return pane.key(event);
    },
    close() { closed = true; clearTimeout(refill.timer); pane.close(); },
  };
}
