"""Style and script of the page, as text: nothing is fetched, so the page opens offline."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --card: #ffffff; --ink: #1d1f24; --soft: #5b606b; --rule: #d9d6cf; --grid: #ecebe6;
  --blue: #2563b8; --orange: #c2620b; --green: #2f7d4f; --purple: #7a4fb5; --red: #b8323c; --teal: #14808a;
  --before: #9aa1ad; --blue-band: rgba(37,99,184,.16); --orange-band: rgba(194,98,11,.14);
  --green-band: rgba(47,125,79,.15); --purple-band: rgba(122,79,181,.15);
  --red-band: rgba(184,50,60,.13); --teal-band: rgba(20,128,138,.15); --bar: rgba(37,99,184,.20);
  --right: #2f7d4f; --wrong: #b8323c; --warn: #fdf3dc; --warn-rule: #d9a62e; --code: #f4f2ed;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171b; --card: #1b1e23; --ink: #e8e6e1; --soft: #a2a7b1; --rule: #363a42; --grid: #282b31;
    --blue: #6ea8f7; --orange: #f0a04b; --green: #6cc792; --purple: #b697ec; --red: #ef7f86; --teal: #56c4cd;
    --before: #777e8b; --blue-band: rgba(110,168,247,.20); --orange-band: rgba(240,160,75,.17);
    --green-band: rgba(108,199,146,.17); --purple-band: rgba(182,151,236,.17);
    --red-band: rgba(239,127,134,.16); --teal-band: rgba(86,196,205,.16); --bar: rgba(110,168,247,.26);
    --right: #6cc792; --wrong: #ef7f86; --warn: #2c2617; --warn-rule: #a9822a; --code: #20242a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16.5px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
main { max-width: 1060px; margin: 0 auto; padding: 3.2rem 1.5rem 5rem; }
h1, h2, h3, .verdict { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, serif; }
h1 { font-size: 2.3rem; line-height: 1.15; margin: .1rem 0 .6rem; font-weight: 600; letter-spacing: -.01em; }
h2 { font-size: 1.55rem; margin: 3.6rem 0 .7rem; padding-top: 1.1rem; font-weight: 600; }
h2 { border-top: 1px solid var(--rule); }
h3 { font-size: 1.13rem; margin: 1.9rem 0 .4rem; font-weight: 600; }
p { max-width: 46rem; margin: .5rem 0 .8rem; }
a { color: var(--blue); }
.kicker { color: var(--soft); font-size: .84rem; letter-spacing: .05em; text-transform: uppercase; margin: 0; }
.verdict { font-size: 1.38rem; line-height: 1.45; max-width: 50rem; margin: 0 0 1.2rem; }
nav { font-size: .9rem; display: flex; flex-wrap: wrap; gap: .2rem 1.15rem; margin: 1.3rem 0 0; }
nav a { color: var(--soft); text-decoration: none; border-bottom: 1px solid var(--rule); }
nav a:hover { color: var(--blue); border-color: var(--blue); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .38rem .9rem .38rem 0; vertical-align: baseline; }
th, td { border-bottom: 1px solid var(--grid); }
thead th { font-weight: 600; border-bottom: 1px solid var(--rule); color: var(--soft); font-size: .87rem; }
tbody th { font-weight: 500; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.note { color: var(--soft); font-size: .87rem; padding-left: .5rem; }
tr.lead th, tr.lead td { font-weight: 650; } tr.lead td.note { font-weight: 400; }
td.dim { color: var(--soft); }
h4 { font-size: .98rem; margin: 1.2rem 0 .4rem; font-weight: 600; }
table.wide { font-size: .9rem; } table.wide td.n, table.wide th.n { padding: .3rem 0 .3rem .9rem; }
table.wide th:first-child { position: sticky; left: 0; background: var(--paper); padding: .3rem .4rem .3rem 0; }
table.wide th:first-child { min-width: 6.5rem; }
table.wide .ends { color: var(--soft); font-size: .86em; font-weight: 400; }
td.best { font-weight: 700; color: var(--blue); }
tr.group th { padding-top: .9rem !important; color: var(--soft); font-weight: 500; font-size: .87rem; }
tr.total th, tr.total td { font-weight: 650; border-top: 1px solid var(--rule); }
td.bar { position: relative; min-width: 4.6rem; } td.bar span { position: relative; }
td.bar i { position: absolute; left: .9rem; top: .28rem; bottom: .28rem; background: var(--bar); }
.checks { list-style: none; padding: 0; margin: .3rem 0; }
.checks li { border-left: 3px solid var(--rule); padding: .1rem 0 .15rem .8rem; margin: .65rem 0; line-height: 1.4; }
.checks b { font-weight: 600; } .checks em { font-style: normal; font-size: .84rem; white-space: nowrap; }
.checks em::before { content: "· "; } .checks span { display: block; color: var(--soft); font-size: .86rem; }
.checks .holds { border-color: var(--right); } .checks .holds em { color: var(--right); }
.checks .does-not-hold { border-color: var(--wrong); } .checks .does-not-hold em { color: var(--wrong); }
figure { margin: .9rem 0 2rem; }
.plot { width: 100%; }
figcaption, .caption { color: var(--soft); font-size: .9rem; line-height: 1.5; max-width: 46rem; margin-top: .3rem; }
figcaption b { color: var(--ink); font-weight: 600; }
.pair2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 0 1.6rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); gap: .4rem 1.4rem; }
.grid figure { margin: .5rem 0 1rem; display: flex; flex-direction: column; }
.grid figcaption { order: -1; margin: 0 0 .1rem; font-size: .84rem; line-height: 1.4; }
.warning { background: var(--warn); border-left: 3px solid var(--warn-rule); border-radius: 2px; max-width: 52rem; }
.warning { padding: .55rem .9rem; margin: .6rem 0; }
.sample { border: 1px solid var(--rule); border-radius: 6px; background: var(--card); overflow: hidden; }
.sample { margin: 1.1rem 0 1.5rem; }
.sample > .prompt { padding: .7rem 1rem; border-bottom: 1px solid var(--rule); font-size: .92rem; }
.sides { display: grid; grid-template-columns: 1fr 1fr; } .sides.one { grid-template-columns: 1fr; }
.sides.many { grid-template-columns: repeat(auto-fit, minmax(min(100%, 270px), 1fr)); }
.side { padding: .75rem 1rem 1rem; min-width: 0; }
.side + .side { border-left: 1px solid var(--rule); }
.side .side { padding: .6rem 0 0; }
.side h4 { margin: 0 0 .45rem; font-size: .9rem; font-weight: 600; }
.side h4 { display: flex; flex-wrap: wrap; gap: .1rem .7rem; align-items: baseline; }
.side h4 span { flex-basis: 100%; font-weight: 400; color: var(--soft); font-size: .84rem; }
.text, pre { font: 13.5px/1.62 ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 21rem; overflow-y: auto; }
.text mark { background: none; color: var(--purple); font-weight: 600; }
.text .answer { color: var(--blue); font-weight: 600; }
b.right { color: var(--right); } b.wrong { color: var(--wrong); } b.unknown { color: var(--soft); }
pre { background: var(--code); padding: .9rem 1.1rem; border-radius: 5px; overflow-x: auto; margin: .5rem 0; }
details { margin: .7rem 0; } summary { cursor: pointer; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .18rem 1.2rem; margin: .5rem 0 1rem; }
dl { font-size: .93rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
svg.lineage { display: block; min-width: 0; }
svg.lineage text { fill: var(--ink); font-size: 13px; } svg.lineage text.soft { fill: var(--soft); font-size: 11.5px; }
svg.lineage rect { fill: var(--card); stroke: var(--rule); } svg.lineage rect.done { stroke: var(--blue); }
svg.lineage rect.model { stroke-dasharray: 4 3; }
svg.lineage path { fill: none; stroke: var(--soft); stroke-width: 1.3; }
svg.lineage marker path { fill: var(--soft); stroke: none; }
footer { margin-top: 4rem; color: var(--soft); font-size: .87rem; }
@media (max-width: 640px) {
  body { font-size: 16px; } main { padding: 1.8rem 1rem 3rem; } h1 { font-size: 1.8rem; }
  .verdict { font-size: 1.17rem; }
  td.note, th.note { display: none; } .sides, .sides.many { grid-template-columns: 1fr; }
  .side + .side { border-left: 0; border-top: 1px solid var(--rule); } th, td { padding-right: .6rem; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  #comparison table { font-size: .88rem; } #comparison .ends { display: block; font-size: .8rem; }
}
@media print { nav { display: none; } .text { max-height: none; } details > *:not(summary) { display: block; } }
"""

SCRIPT = """
(function () {
  "use strict";
  function resolved(value, style) {
    if (typeof value === "string") {
      var found = /^var\\((--[a-z-]+)\\)$/.exec(value);
      return found ? style.getPropertyValue(found[1]).trim() : value;
    }
    if (Array.isArray(value)) { return value.map(function (item) { return resolved(item, style); }); }
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (key) { copy[key] = resolved(value[key], style); });
      return copy;
    }
    return value;
  }
  function draw() {
    var style = getComputedStyle(document.documentElement);
    document.querySelectorAll(".plot").forEach(function (place) {
      var figure = resolved(JSON.parse(place.querySelector("script").textContent), style);
      var canvas = place.querySelector(".canvas");
      if (!place.clientWidth) { return; }
      if (place.clientWidth < 480) { figure.layout.margin.l = 38; figure.layout.margin.r = 6; }
      Plotly.react(canvas, figure.data, figure.layout, { displayModeBar: false, responsive: true });
    });
  }
  draw();
  document.querySelectorAll("details").forEach(function (folded) { folded.addEventListener("toggle", draw); });
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  if (dark.addEventListener) { dark.addEventListener("change", draw); }
})();
"""
