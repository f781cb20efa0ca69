// The box office's orders: searched, paged and kept current. What is shown is in the page's address,
// so that a search can be kept, sent on and gone back to.

import { getJson } from "./api.js";
import { codesCell, fillOrder, statusCell } from "./admin-cells.js";
import { count, setText } from "./format.js";
import { LiveTable, cellText } from "./table.js";
import { takeOver } from "./takeover.js";

// A search that takes the shop long is not asked again before it has rested so many times as long.
const REST_FACTOR = 10;

export class Orders {
  /** `root` is the section; `changed()` is called when something else is to be shown. */
  constructor(root, limit, changed) {
    this.limit = limit;
    this.changed = changed;
    this.form = root.querySelector("[data-search]");
    this.problem = root.querySelector("[data-search-problem]");
    this.total = root.querySelector("[data-orders-total]");
    this.link = root.querySelector("[data-export]");
    this.newer = root.querySelector("[data-newer]");
    this.older = root.querySelector("[data-older]");
    this.empty = root.querySelector("[data-empty]");
    this.table = new LiveTable(root, (order) => order.id, fillRow);
    this.next = null;
    takeOver(this.form, () => this.go(this.asked(), [""]));
    this.form.elements.status.addEventListener("change", () => this.go(this.asked(), [""]));
    this.newer.addEventListener("click", () => this.go(this.wanted, this.trail.slice(0, -1)));
    this.older.addEventListener("click", () => this.go(this.wanted, [...this.trail, this.next]));
    window.addEventListener("popstate", () => {
      this.readAddress();
      this.changed();
    });
    this.readAddress();
  }

  /** What the form says, without what says nothing. */
  asked() {
    const { q, status } = this.form.elements;
    const asked = new URLSearchParams();
    if (q.value.trim()) asked.set("q", q.value.trim());
    if (status.value) asked.set("status", status.value);
    return asked;
  }

  /** Shows another page; `trail` is where it and the pages before it begin. */
  go(wanted, trail) {
    const address = new URLSearchParams(wanted);
    if (trail.slice(-1)[0]) address.set("after", trail.slice(-1)[0]);
    window.history.pushState({ trail }, "", String(address) ? `?${address}` : "/admin");
    this.readAddress();
    this.changed();
  }

  readAddress() {
    const address = new URLSearchParams(window.location.search);
    const after = address.get("after") ?? "";
    address.delete("after");
    this.wanted = address;
    this.restUntil = 0;
    this.trail = window.history.state?.trail ?? (after ? ["", after] : [""]);
    this.form.elements.q.value = address.get("q") ?? "";
    this.form.elements.status.value = address.get("status") ?? "";
    // Who may not export has none.
    if (this.link) this.link.href = `/api/admin/orders.csv${String(address) ? `?${address}` : ""}`;
    this.newer.disabled = this.older.disabled = true;
  }

  /** Asks the shop; an answer that comes after something else was asked for is not shown. */
  async refresh() {
    const { wanted, trail } = this;
    const began = Date.now();
    if (began < this.restUntil) return;
    const query = new URLSearchParams(wanted);
    query.set("limit", this.limit);
    if (trail.slice(-1)[0]) query.set("after", trail.slice(-1)[0]);
    try {
      const page = await getJson(`/api/admin/orders?${query}`);
      if (this.wanted !== wanted || this.trail !== trail) return;
      this.show(page);
      this.restUntil = Date.now() + REST_FACTOR * (Date.now() - began);
    } catch (error) {
      // The search is not valid: said where it was typed, and nothing to try again.
      if (error.status !== 400) throw error;
      if (this.wanted === wanted) this.showProblem(error.message);
    }
  }

  show({ items, next, total, total_is_more: isMore }) {
    this.table.show(items);
    this.next = next;
    this.newer.disabled = this.trail.length === 1;
    this.older.disabled = next === null;
    setText(this.total, isMore ? `more than ${count(total)}` : count(total));
    setText(this.empty, String(this.wanted) ? "No such order." : "No order yet.");
    this.problem.hidden = true;
  }

  showProblem(sentence) {
    this.table.show([]);
    setText(this.total, "");
    setText(this.problem, sentence);
    this.problem.hidden = false;
  }
}

function fillRow(cells, order) {
  fillOrder(cells, order);
  statusCell(cells.status, order);
  codesCell(cells.code, order);
  cellText(cells.inside, order.inside ? `${order.inside} of ${order.qty} inside` : "");
  cellText(cells.goodie, order.got_goodie ? document.querySelector("[data-admin]").dataset.goodie : "");
}
