// Numbers and places as a person writes them: as report/read/wording.py does.

export function share(value, digits = 3) {
  if (value === null || value === undefined) { return "–"; }
  return value.toFixed(digits).replace(/^(-?)0\./, "$1.");
}

export function short(value) {
  if (value === null || value === undefined) { return "–"; }
  if (value === 0) { return "0"; }
  const size = Math.abs(value);
  if (size >= 1e15) { return value.toExponential(2); }
  if (size >= 10000) { return Math.round(value).toLocaleString("en"); }
  return String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
}

export function count(value) {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
}

export function duration(seconds) {
  const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  if (whole < 100) { return `${whole} s`; }
  if (whole < 6000) { return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`; }
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** A time that is only reckoned, as coarse as its error. */
export function about(seconds) {
  if (seconds < 5) { return "under 5 s"; }
  if (seconds < 57.5) { return `${Math.round(seconds / 5) * 5} s`; }
  if (seconds < 3570) { return `${Math.max(1, Math.round(seconds / 60))} min`; }
  const tens = Math.round(seconds / 600);
  return `${Math.floor(tens / 6)} h ${String((tens % 6) * 10).padStart(2, "0")} min`;
}

/** The same in a sentence: "about 40 s", "under 5 s". */
export const roughly = (seconds) => (seconds < 5 ? "" : "about ") + about(seconds);

export const spaced = (name) => String(name).replaceAll("_", " ");

/** `[low, high]` after a number. */
export const bracket = (ends) => (ends ? ` [${share(ends[0], 2)}, ${share(ends[1], 2)}]` : "");

/** The address of a view of this page. */
export function address(run, view, parameters = {}) {
  const kept = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
  return `#/${run}/${view}${query ? `?${query}` : ""}`;
}
