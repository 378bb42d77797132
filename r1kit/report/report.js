(function () {
  "use strict";
  var probe = document.body.appendChild(document.createElement("i"));
  function resolved(value) {
    if (typeof value === "string") {
      if (!/^var\(--[a-z-]+\)$/.test(value)) { return value; }
      probe.style.color = value;
      return getComputedStyle(probe).color;
    }
    if (Array.isArray(value)) { return value.map(resolved); }
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (key) { copy[key] = resolved(value[key]); });
      return copy;
    }
    return value;
  }
  function onPaper() { return document.documentElement.classList.contains("paper"); }
  function draw() {
    document.querySelectorAll(".plot").forEach(function (place) {
      var figure = resolved(JSON.parse(place.querySelector("script").textContent));
      var canvas = place.querySelector(".canvas");
      if (!place.clientWidth) { return; }
      if (onPaper()) { figure.layout.width = place.clientWidth; figure.layout.height *= .7; }
      if (place.clientWidth < 480) { figure.layout.margin.l = 38; figure.layout.margin.r = 6; }
      Plotly.react(canvas, figure.data, figure.layout, { displayModeBar: false, responsive: true });
    });
  }
  // On paper: light, as wide as the sheet, what is folded away open, long lists cut; afterwards all is as it was.
  var opened = [];
  function forPaper() {
    if (onPaper()) { return; }
    document.documentElement.classList.add("paper");
    opened = Array.prototype.filter.call(
      document.querySelectorAll("details:not(.log):not(.more)"), function (one) { return !one.open; }
    );
    opened.forEach(function (one) { one.open = true; });
    draw();
  }
  function forScreen() {
    document.documentElement.classList.remove("paper");
    opened.forEach(function (one) { one.open = false; });
    opened = [];
    draw();
    document.querySelectorAll(".plot .js-plotly-plot").forEach(function (canvas) { Plotly.Plots.resize(canvas); });
  }
  window.addEventListener("beforeprint", forPaper);
  window.addEventListener("afterprint", forScreen);
  draw();
  document.querySelectorAll("details").forEach(function (folded) { folded.addEventListener("toggle", draw); });
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  if (dark.addEventListener) { dark.addEventListener("change", draw); }
})();
