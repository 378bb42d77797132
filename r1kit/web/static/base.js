// What every page uses: requests, elements, live values, the switch between light and dark.

let pageToken = document.querySelector('meta[name="r1-token"]').content;

/** An answer's JSON; an Error with the server's own line where it refused or is gone. */
async function read(response) {
  const value = await response.json().catch(() => null);
  if (response.ok) { return value; }
  const error = new Error(value?.error?.message ?? `${response.status} ${response.statusText}`);
  Object.assign(error, { status: response.status, code: value?.error?.code, value });
  throw error;
}

async function ask(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") { throw error; }
    throw new Error("the server does not answer; is the command still running?");
  }
}

export async function get(url, options = {}) {
  return read(await ask(url, { ...options, headers: { Accept: "application/json", ...options.headers } }));
}

/** POST a JSON value. A server that was started anew has another token: it is fetched, and the request sent again. */
export async function post(url, body, options = {}) {
  const send = async () => read(await ask(url, {
    method: "POST", body: JSON.stringify(body), ...options,
    headers: { "Content-Type": "application/json", "Accept": "application/json", "X-R1-Token": pageToken },
  }));
  try {
    return await send();
  } catch (error) {
    if (error.code !== "stale_page") { throw error; }
    pageToken = (await get("/session")).token;
    return send();
  }
}

/** Ask for a value again and again and draw it when it has changed; returns a function that stops. */
export function live(url, seconds, draw, failed = (error) => say(error.message)) {
  let tag = "", timer = 0, stopped = false, wasGone = false;
  async function look() {
    try {
      const response = await ask(typeof url === "function" ? url() : url,
        { headers: { Accept: "application/json", ...(tag ? { "If-None-Match": tag } : {}) } });
      if (response.status !== 304) {
        const value = await read(response);
        if (stopped) { return; }
        tag = response.headers.get("etag") ?? "";
        draw(value);
      }
      if (wasGone) { wasGone = false; say(""); }
    } catch (error) {
      if (!stopped && !wasGone) { wasGone = true; failed(error); }
    }
    if (!stopped) { timer = setTimeout(look, document.hidden ? 5000 : seconds * 1000); }
  }
  function awake() { if (!document.hidden && !stopped) { clearTimeout(timer); look(); } }
  document.addEventListener("visibilitychange", awake);
  look();
  return () => { stopped = true; clearTimeout(timer); document.removeEventListener("visibilitychange", awake); };
}

/** An element; text goes in as text, never as HTML. Keys beginning with "on" are listeners, "class" the class. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) { continue; }
    if (key.startsWith("on")) { made.addEventListener(key.slice(2), value); }
    else if (value === true) { made.setAttribute(key, ""); }
    else { made.setAttribute(key, value); }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A line at the foot of the page; empty takes it away. */
export function say(text, seconds = 0) {
  const place = document.getElementById("notice");
  place.textContent = text;
  clearTimeout(say.timer);
  if (seconds) { say.timer = setTimeout(() => { place.textContent = ""; }, seconds * 1000); }
}

/** Whether a key press belongs to a field that a person types in. */
export function isTyping(event) {
  return event.target.matches?.("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]");
}

/** Colours as the page has them now: "var(--blue)" -> "rgb(37, 99, 184)", anywhere in a value. */
export function inColour(value) {
  const probe = document.body.appendChild(document.createElement("i"));
  const found = (one) => {
    if (typeof one === "string") {
      if (!/^var\(--[a-z-]+\)$/.test(one)) { return one; }
      probe.style.color = one;
      return getComputedStyle(probe).color;
    }
    if (Array.isArray(one)) { return one.map(found); }
    if (one && typeof one === "object") {
      return Object.fromEntries(Object.entries(one).map(([key, inner]) => [key, found(inner)]));
    }
    return one;
  };
  const made = found(value);
  probe.remove();
  return made;
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = getComputedStyle(root).colorScheme === "dark" || (getComputedStyle(root).colorScheme !== "light"
    && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = isDark ? "light" : "dark";
  try { localStorage.setItem("r1-theme", root.dataset.theme); } catch (error) { /* storage is off */ }
  document.dispatchEvent(new CustomEvent("r1-theme"));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  document.dispatchEvent(new CustomEvent("r1-theme"));
});
