// Follows an order for as long as it may change. A stream tells of changes the moment they happen;
// the page asks by itself where there is no stream, and where the stream is silent.
//
// Over HTTP/1.1 a browser has six connections to the shop, and each stream takes one. So all its
// tabs share one stream: whoever has the lock has it, and gives it back when nobody looks at the
// page. The other tabs ask. Tabs tell each other what they learned, and each sees for itself.

import { getJson, repeat, visible } from "./api.js";

const PAUSE_MS = 1000;
const PAUSE_SLOW_MS = 5000;
const SLOW_MS = 15000;
// A stream begins with the state of now. One that does not is held back on its way.
const FIRST_WORD_MS = 3000;
// After so much silence it is checked whether the stream has told the truth.
const SILENCE_MS = 10000;
const STREAM_LOCK = "tigerfans-stream";
const CHANNEL = "tigerfans-orders";

const channel = window.BroadcastChannel ? new BroadcastChannel(CHANNEL) : null;

/** Tells this browser's other tabs what an order has come to. */
export function tellTabs(orderId, status) {
  channel?.postMessage({ orderId, status });
}

/** Asking often at first, as a payment comes through in a moment or takes its time. */
function oftenAtFirst() {
  return performance.now() < SLOW_MS ? PAUSE_MS : PAUSE_SLOW_MS;
}

/**
 * Hands each state of the order after `status`, as its public JSON, to `show`, until that returns
 * true. `onFailure` hears of each question that was not answered.
 */
export function followOrder(
  orderId,
  status,
  show,
  { onFailure = () => {}, pauseMs = oftenAtFirst, takesStream = true } = {},
) {
  const path = `/api/orders/${encodeURIComponent(orderId)}`;
  let known = status;
  let isOver = false;
  // The page is as new as its load, and needs no answer before the first pause is over.
  let askAt = performance.now() + PAUSE_MS;
  let toldByStream = null;
  let endStream = () => {};

  const take = (order) => {
    if (order.status !== known) {
      known = order.status;
      tellTabs(orderId, known);
    }
    isOver = isOver || show(order);
    if (isOver) endStream();
  };

  const ask = async () => {
    if (!isOver && performance.now() >= askAt) {
      const order = await getJson(path);
      if (order.status === toldByStream) askAt = performance.now() + SILENCE_MS;
      else endStream();
      take(order);
    }
    return isOver;
  };

  const askNow = () => {
    askAt = 0;
    wake();
  };

  /** Resolves when the stream has ended, whoever ended it, to whether another may be tried. */
  const listen = () =>
    new Promise((resolve) => {
      const events = new EventSource(`${path}/events`);
      const end = (mayTryAgain) => {
        events.close();
        document.removeEventListener("visibilitychange", giveBack);
        toldByStream = null;
        endStream = () => {};
        if (!isOver) askNow();
        resolve(mayTryAgain);
      };
      const giveBack = () => end(true);
      askAt = performance.now() + FIRST_WORD_MS;
      endStream = () => end(false);
      events.onmessage = ({ data }) => {
        const order = JSON.parse(data);
        toldByStream = order.status;
        askAt = performance.now() + SILENCE_MS;
        take(order);
      };
      // An EventSource tries again by itself, but not after every error: asking always does.
      events.onerror = endStream;
      document.addEventListener("visibilitychange", giveBack);
    });

  const shareStream = async () => {
    let mayTryAgain = true;
    const turn = async () => {
      if (!document.hidden && !isOver) mayTryAgain = await listen();
    };
    while (mayTryAgain && !isOver) {
      await visible();
      await navigator.locks.request(STREAM_LOCK, turn);
    }
  };

  const wake = repeat(ask, pauseMs, onFailure);
  tellTabs(orderId, known);
  channel?.addEventListener("message", ({ data }) => {
    const isNews = data.orderId === orderId && data.status !== known;
    // A stream that speaks tells it as well.
    if (isNews && toldByStream === null) askNow();
  });
  // Locks are for pages that came by HTTPS or from the same machine, and not in every browser.
  if (takesStream && navigator.locks && window.EventSource) shareStream().catch(askNow);
}
