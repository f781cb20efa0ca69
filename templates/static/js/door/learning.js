// Learns from the shop what a device has to know before it is alone: the keys that codes are checked
// by, and which tickets are inside or refunded, from where it had read the list.

import { getJson } from "../api.js";

const KEYS = "/api/door/keys";
const ENDS = "/api/door/ends";

/** Learns what is new; throws what kept it from that. */
export async function learn(store, alone) {
  await alone.started;
  const keys = await getJson(KEYS);
  if (!alone.hasStore) return;
  const before = await store.getKept("keys");
  if (before && before.shop !== keys.shop) await store.forgetTickets();
  await store.keep("keys", keys);
  alone.keys = keys;
  for (let more = true; more; ) {
    const after = await store.getKept("ends");
    const page = await getJson(after ? `${ENDS}?after=${encodeURIComponent(after)}` : ENDS);
    await store.learn(page.items, page.next);
    more = page.more;
  }
  await store.keep("learned_at", Date.now());
}
