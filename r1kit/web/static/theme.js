// Before the first paint, so that the page does not flash: light or dark as chosen here before.
(function () {
  "use strict";
  try {
    var chosen = localStorage.getItem("r1-theme");
    if (chosen === "light" || chosen === "dark") { document.documentElement.dataset.theme = chosen; }
  } catch (error) { /* storage is off: the system's choice stands */ }
})();
