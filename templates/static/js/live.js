// What keeps a page of the box office live: its parts are asked for again and again, and beside the
// pages' names stands whether that works. "Pause" ends it until it is pressed again.

import { OfflineError, TroubleError, repeat } from "./api.js";
import { setText } from "./format.js";

/**
 * Calls each of `parts` after every pause, each by itself, so that one store that is away leaves the
 * others' figures live.
 *
 * Gives `wake()`, which asks at once, `lost(error)`, and `show(state, words)`.
 */
export function keepLive(parts, pauseMs) {
  const live = document.querySelector("[data-live]");
  const said = live.querySelector("[data-live-words]");
  const pause = live.querySelector("[data-pause]");
  const isPaused = () => pause.getAttribute("aria-pressed") === "true";

  function show(state, words) {
    live.dataset.state = state;
    setText(said, words);
  }

  function lost(error) {
    if (error instanceof OfflineError) show("lost", "No answer");
    else if (error instanceof TroubleError) show("lost", error.message);
    else show("lost", `This page has a fault: ${error.message}`);
  }

  async function refresh() {
    if (isPaused()) return show("paused", "Paused");
    const results = await Promise.allSettled(parts.map((part) => part()));
    const failed = results.find((result) => result.status === "rejected");
    if (!failed) return show("live", "Live");
    // One part's fault leaves the others live.
    if (!(failed.reason instanceof TroubleError)) return lost(failed.reason);
    throw failed.reason;
  }

  const wake = repeat(refresh, () => pauseMs, lost);
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!isPaused()));
    wake();
  });
  return { wake, lost, show };
}
