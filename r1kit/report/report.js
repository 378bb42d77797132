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
  function draw() {
    document.querySelectorAll(".plot").forEach(function (place) {
      var figure = resolved(JSON.parse(place.querySelector("script").textContent));
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
