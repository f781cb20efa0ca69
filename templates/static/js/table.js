// A table that is refreshed in place: a row stays the same element as long as its item is shown,
// so focus, selection and scroll position survive each refresh.

import { setText } from "./format.js";

export class LiveTable {
  /**
   * `root` holds the tbody (`data-rows`), the template of a row (`data-row`), and what is said
   * when there is none (`data-empty`).
   * `key(item)` tells items apart; `fill(cells, item)` sets a row, where `cells` are its
   * `data-cell` elements by name.
   */
  constructor(root, key, fill) {
    this.body = root.querySelector("[data-rows]");
    this.template = root.querySelector("[data-row]");
    this.empty = root.querySelector("[data-empty]");
    this.key = key;
    this.fill = fill;
    this.rows = new Map();
  }

  show(items) {
    const rows = new Map();
    for (const item of items) {
      const key = this.key(item);
      const row = this.rows.get(key) ?? this.newRow();
      this.fill(row.cells, item);
      rows.set(key, row);
    }
    for (const [key, row] of this.rows) if (!rows.has(key)) row.element.remove();
    let next = this.body.firstElementChild;
    for (const { element } of rows.values()) {
      if (element === next) next = next.nextElementSibling;
      else this.body.insertBefore(element, next);
    }
    this.rows = rows;
    this.empty.hidden = rows.size > 0;
  }

  newRow() {
    const element = this.template.content.firstElementChild.cloneNode(true);
    const cells = {};
    for (const cell of element.querySelectorAll("[data-cell]")) cells[cell.dataset.cell] = cell;
    return { element, cells };
  }
}

/** A cell's text. */
export function cellText(cell, text) {
  setText(cell, text ?? "");
}
