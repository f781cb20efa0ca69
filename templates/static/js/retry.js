// Loads a page again by itself where nothing else keeps it current: one that could not be made right
// now, and one whose own script does not run to its end, or fails. It stands in for scripts that this
// browser may not be able to read, so it is written in what every browser reads, and imports nothing.

(function () {
  "use strict";

  var page = document.querySelector("[data-retry-after-seconds]");
  var pauseMs = 1000 * Math.max(1, Number(page.getAttribute("data-retry-after-seconds")));
  var isUnderway = false;

  function retry() {
    if (isUnderway) return;
    isUnderway = true;
    // A little more or less, so that a crowd that was turned away together does not return together.
    setTimeout(function () {
      window.location.reload();
    }, pauseMs * (0.8 + 0.4 * Math.random()));
  }

  window.addEventListener("error", retry);
  window.addEventListener("unhandledrejection", retry);
  // By then the page's own script has run, or never will.
  window.addEventListener("load", function () {
    if (!document.documentElement.hasAttribute("data-kept-current")) retry();
  });
})();
