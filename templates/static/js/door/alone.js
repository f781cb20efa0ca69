// Decides about a ticket without the shop: by its signature, and by what this device knows of it.
// Nobody is let in by less, and by nothing that is not kept: the shop is told of it later.

import { knownBy } from "./asking.js";
import { canCheck, readText } from "./signed.js";

const SECURE = "Offline, tickets are checked on HTTPS and localhost only.";
const NO_STORE = "This browser keeps nothing for this page, so nothing is checked offline.";
const NO_ED25519 = "This browser cannot check signatures, so nothing is checked offline.";
const NOT_HEARD = "This device has not heard from the shop yet, so nothing is checked offline.";

// Of what cannot be checked here.
const WHY = {
  short: "Offline, QR codes are checked, and no short codes. Nobody is let in yet.",
  newer: "This code has a newer key than this device knows of. Nobody is let in yet.",
};

export class Alone {
  /** `store` keeps what this decides; `classes` has the names of classes, by their numbers. */
  constructor(store, classes) {
    this.store = store;
    this.classes = classes;
    /** Whether the shop did not answer when it was last asked. */
    this.isAway = false;
    this.keys = null;
    this.started = this.start();
  }

  async start() {
    [this.canCheck, this.hasStore] = await Promise.all([canCheck(), this.store.isThere()]);
    if (this.hasStore) this.keys = this.keys ?? (await this.store.getKept("keys")) ?? null;
  }

  /** Why nothing can be checked here; empty where it can. */
  get why() {
    if (!window.isSecureContext) return SECURE;
    if (!this.canCheck) return NO_ED25519;
    if (!this.hasStore) return NO_STORE;
    return this.keys ? "" : NOT_HEARD;
  }

  /**
   * What is decided before the shop is asked: all that can be where it is known to be away, and that
   * a ticket is inside which the shop has not heard of yet. Null where the shop is to be asked.
   */
  async before(scan) {
    await this.started;
    if (this.why) return null;
    if (this.isAway) {
      const decided = await this.decide(scan);
      return decided.result === "cannot_check" ? null : decided;
    }
    const said = await readText(scan.text, this.keys);
    if (said.result !== "valid") return null;
    try {
      const known = await this.store.getKnown(said.key);
      return known?.isWaiting ? refusal(scan, known) : null;
    } catch {
      return null;
    }
  }

  /** An answer such as the shop's; its result is `cannot_check` where nothing can be decided. */
  async decide(scan) {
    await this.started;
    if (this.why) return answer(scan, "cannot_check", this.why);
    const said = await readText(scan.text, this.keys);
    if (WHY[said.result]) return answer(scan, "cannot_check", WHY[said.result]);
    if (said.result !== "valid") return answer(scan, said.result);
    let known;
    try {
      known = await this.store.letIn(said.key, { ...scan, offline: true });
    } catch (error) {
      return answer(scan, "cannot_check", `${error.message} Nobody is let in.`);
    }
    if (known) return refusal(scan, known);
    return {
      ...answer(scan, "admitted"),
      verdict: "checked_offline",
      class_name: this.classes.get(said.classNumber),
    };
  }

  /** What the shop has answered: so it is known when it does not. */
  async heard({ text }, answer) {
    await this.started;
    if (this.why) return;
    const said = await readText(text, this.keys);
    if (said.result !== "valid") return;
    // What cannot be kept is not known then: the ledger will say so.
    await this.store.know(said.key, knownBy(answer)).catch(() => {});
  }
}

function answer({ scan_id, text }, result, detail) {
  return { scan_id, text, result, detail };
}

function refusal(scan, { state, at, gate }) {
  const when = new Date(at).toISOString();
  if (state === "refunded") return { ...answer(scan, "refunded"), refunded_at_iso: when };
  return { ...answer(scan, "already_inside"), admitted_at_iso: when, gate };
}
