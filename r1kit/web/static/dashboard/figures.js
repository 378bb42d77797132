// Figures that Python made, in the colours that the page has now.

import { el, inColour } from "/static/base.js";

const drawn = new Map();

function paint(place, figure) {
  const made = inColour(figure);
  if (place.clientWidth < 480) { Object.assign(made.layout.margin, { l: 38, r: 6 }); }
  window.Plotly.react(place, made.data, made.layout, { displayModeBar: false, responsive: true });
}

export function plot(place, figure) {
  drawn.set(place, figure);
  if (place.clientWidth) { paint(place, figure); }
}

document.addEventListener("r1-theme", () => {
  for (const [place, figure] of drawn) {
    if (place.isConnected) { paint(place, figure); } else { drawn.delete(place); }
  }
});

/** Figures in a grid, large ones first. What is there is drawn anew in its place, so nothing moves. */
export function gallery(place, figures) {
  const held = new Map([...place.querySelectorAll("[data-figure]")].map((found) => [found.dataset.figure, found]));
  for (const [name, found] of held) {
    if (!figures.some((one) => one.name === name)) { found.remove(); }
  }
  for (const one of figures.filter(({ name }) => !held.has(name))) {
    const height = one.figure.layout.height ?? 300;
    const canvas = el("div", { class: "canvas", role: "img", "aria-label": `${one.title} over steps. ${one.text}` });
    canvas.style.minHeight = `${height}px`;
    const head = el("figcaption", {}, el("b", {}, one.title), one.text ? ` ${one.text}` : "");
    const figure = el("figure", { "data-figure": one.name, class: one.is_large ? "large" : "" }, head, canvas);
    held.set(one.name, figure);
    place.append(figure);
  }
  for (const one of figures) { plot(held.get(one.name).querySelector(".canvas"), one.figure); } // once all have their width
}
