// Applies the chosen theme before the page is drawn; a classic script, since a module runs later.
(() => {
  "use strict";
  let theme = "auto";
  try {
    theme = localStorage.getItem("ondeck-theme") || "auto";
  } catch {
    // storage is blocked: the choice lasts until the page is closed
  }
  document.documentElement.dataset.theme = theme;
})();
