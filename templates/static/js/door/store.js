// What this device keeps in IndexedDB: scans that wait to be sent, scans that somebody has to look
// at, what is known of tickets, and what else was learned of the shop. Tabs of one device share it.
//
// What resolves is on the disk. Where the browser keeps nothing, everything here throws.

import { TroubleError } from "../api.js";

const NAME = "tigerfans-door";
const VERSION = 1;

/** The browser keeps nothing, or not this: in a private window, or where the device is full. */
export class StoreError extends TroubleError {
  constructor(cause) {
    super(`This device could not keep what it has to (${cause.name}).`);
  }
}

export class Store {
  constructor() {
    this.opened = null;
  }

  /** Resolves to whether there is a place to keep things. */
  async isThere() {
    try {
      await this.run(["kept"], "readonly", () => {});
      return true;
    } catch {
      return false;
    }
  }

  /**
   * One transaction: `act` gets the stores of these names; what the request that it returns has in
   * the end is what this resolves to.
   */
  async run(names, mode, act) {
    try {
      return await this.tryTwice(names, mode, act);
    } catch (error) {
      throw new StoreError(error);
    }
  }

  async tryTwice(names, mode, act) {
    try {
      return await this.transact(await this.open(), names, mode, act);
    } catch (error) {
      // A phone that slept has closed it.
      if (error.name !== "InvalidStateError") throw error;
      this.opened = null;
      return this.transact(await this.open(), names, mode, act);
    }
  }

  transact(database, names, mode, act) {
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(names, mode, { durability: "strict" });
      let request;
      transaction.addEventListener("complete", () => resolve(request?.result));
      transaction.addEventListener("abort", () => {
        reject(transaction.error ?? new DOMException("", "AbortError"));
      });
      request = act(...names.map((name) => transaction.objectStore(name)));
    });
  }

  open() {
    this.opened = this.opened ?? openDatabase();
    this.opened.catch(() => {
      this.opened = null;
    });
    return this.opened;
  }

  // --- What was learned of the shop ---------------------------------------------------------

  getKept(name) {
    return this.run(["kept"], "readonly", (kept) => kept.get(name));
  }

  keep(name, value) {
    return this.run(["kept"], "readwrite", (kept) => kept.put(value, name));
  }

  /** Of another shop, which had this address before, nothing is known. */
  forgetTickets() {
    return this.run(["known", "kept"], "readwrite", (known, kept) => {
      known.clear();
      kept.clear();
    });
  }

  // --- Tickets ------------------------------------------------------------------------------

  getKnown(key) {
    return this.run(["known"], "readonly", (known) => known.get(key));
  }

  /**
   * Takes a page of the shop's list of ends in, and where the next one begins. What this device
   * still has to tell the shop itself stays as it is.
   */
  learn(items, next) {
    return this.run(["known", "kept"], "readwrite", (known, kept) => {
      for (const { key, state, at, gate } of items) {
        const request = known.get(key);
        request.addEventListener("success", () => {
          if (request.result?.isWaiting) return;
          if (state === "valid") known.delete(key);
          else known.put({ state, at, gate }, key);
        });
      }
      kept.put(next, "ends");
    });
  }

  /** A ticket that the shop has told of, in answer to a scan; `ticket` is null where it is valid. */
  know(key, ticket) {
    return this.run(["known"], "readwrite", (known) => {
      if (ticket) known.put(ticket, key);
      else known.delete(key);
    });
  }

  /**
   * Lets a ticket in, where nothing is known against it: its scan waits from now on. Resolves to
   * null, or to what is known of it. One transaction: of two tabs, one lets it in.
   */
  async letIn(key, scan) {
    let before = null;
    await this.run(["waiting", "known"], "readwrite", (waiting, known) => {
      const request = known.get(key);
      request.addEventListener("success", () => {
        before = request.result ?? null;
        if (before?.scanId === scan.scan_id) before = null;
        else if (!before) {
          waiting.add({ scan, key });
          const { scanned_at: at, gate, scan_id: scanId } = scan;
          known.put({ state: "inside", at, gate, scanId, isWaiting: true }, key);
        }
      });
    });
    return before;
  }

  // --- Scans that wait ----------------------------------------------------------------------

  countWaiting() {
    return this.run(["waiting"], "readonly", (waiting) => waiting.count());
  }

  /** The first ones behind a number, in the order in which they were scanned. */
  getWaiting(after, limit) {
    const later = IDBKeyRange.lowerBound(after, true);
    return this.run(["waiting"], "readonly", (waiting) => waiting.getAll(later, limit));
  }

  /**
   * These were answered: `ended` has the waiting one, what is known of its ticket now, and what is to
   * be looked at, each of the last two null where there is nothing.
   */
  end(ended) {
    return this.run(["waiting", "known", "aside"], "readwrite", (waiting, known, aside) => {
      for (const { item, ticket, toSee } of ended) {
        waiting.delete(item.number);
        if (ticket) known.put(ticket, item.key);
        else known.delete(item.key);
        if (toSee) aside.put(toSee);
      }
    });
  }

  // --- Scans that somebody has to look at ---------------------------------------------------

  /** The shop did not take these. Their tickets are inside, of which it has still to hear. */
  putAside(refused) {
    return this.run(["waiting", "aside"], "readwrite", (waiting, aside) => {
      for (const { item, toSee } of refused) {
        waiting.delete(item.number);
        aside.put(toSee);
      }
    });
  }

  getAside(limit) {
    return this.run(["aside"], "readonly", (aside) => aside.getAll(null, limit));
  }

  dropAside(scanId) {
    return this.run(["aside"], "readwrite", (aside) => aside.delete(scanId));
  }

  /** It waits once more, behind the others. */
  sendAgain({ scan_id: scanId, item }) {
    return this.run(["waiting", "aside"], "readwrite", (waiting, aside) => {
      waiting.add({ scan: item.scan, key: item.key });
      aside.delete(scanId);
    });
  }
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = window.indexedDB.open(NAME, VERSION);
    request.addEventListener("upgradeneeded", () => {
      const database = request.result;
      database.createObjectStore("waiting", { keyPath: "number", autoIncrement: true });
      database.createObjectStore("aside", { keyPath: "scan_id" });
      database.createObjectStore("known");
      database.createObjectStore("kept");
    });
    request.addEventListener("success", () => {
      const database = request.result;
      // A page of a later release needs it; this one opens it again where it can.
      database.addEventListener("versionchange", () => database.close());
      resolve(database);
    });
    request.addEventListener("error", () => reject(request.error));
  });
}
