(function () {
  "use strict";
  function resolved(value, style) {
    if (typeof value === "string") {
      var found = /^var\((--[a-z-]+)\)$/.exec(value);
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
