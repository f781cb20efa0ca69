// The verdict: over the whole screen, in words, in a colour and in a shape of its own. It stays until
// the next scan, a touch, or some seconds are over. Its words are the page's (`data-verdict-of`),
// so that the plain page says the same.

import { localTime } from "../format.js";

const STAYS_MS = { good: 6000, checked: 8000, unsure: 15000, bad: 15000 };

const known = new Map();
for (const each of document.querySelectorAll("template[data-verdict-of]")) {
  const [words, advice] = [...each.content.children].map((child) => child.textContent);
  known.set(each.dataset.verdictOf, { kind: each.dataset.kind, words, advice });
}

/** What is said of an answer: `{ kind, words, lines }`; a line is `{ text, isGoodie }`. */
export function verdictOf(answer) {
  // An admission that was told again, and taken back meanwhile, lets nobody in.
  const verdict = answer.undone ? "undone" : answer.verdict ?? answer.result;
  const { kind, words, advice } = known.get(verdict) ?? known.get("refused");
  const isIn = kind === "good" || kind === "checked";
  const lines = [
    { text: answer.detail ?? advice },
    { text: since(answer) },
    { text: answer.class_name },
    { text: isIn && answer.goodie ? `Hand over: ${answer.goodie}` : "", isGoodie: true },
    { text: answer.tickets > 1 ? `Ticket ${answer.ticket} of ${answer.tickets}` : "" },
    { text: answer.email_initial ? `Email begins with ${answer.email_initial.toUpperCase()}` : "" },
  ];
  return { kind, words, lines: lines.filter(({ text }) => text) };
}

function since({ result, admitted_at_iso: at, gate }) {
  if (result !== "already_inside" || !at) return "";
  return gate ? `Since ${localTime(at)} at ${gate}` : `Since ${localTime(at)}`;
}

export class Verdict {
  /** `root` is the section over the page; `onUndo(answer)` is asked once, and resolves when done. */
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-verdict-${name}]`);
    this.timer = 0;
    this.part("next").addEventListener("click", () => this.hide());
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
      if (event.key === "Tab") this.stay(event);
    });
  }

  get isShown() {
    return !this.root.hidden;
  }

  /** What is shown is over, and what comes is not known yet. */
  wait() {
    window.clearTimeout(this.timer);
    if (!this.isShown) return;
    this.root.dataset.kind = "wait";
    this.part("words").textContent = "One moment…";
    this.part("more").replaceChildren();
    this.part("undo").hidden = true;
  }

  show(answer) {
    const { kind, words, lines } = verdictOf(answer);
    this.root.dataset.kind = kind;
    this.part("words").textContent = words;
    this.part("more").replaceChildren(...lines.map(paragraph));
    if (!this.isShown) this.before = document.activeElement;
    this.root.hidden = false;
    // For who uses keys: the page below cannot be seen.
    this.part("next").focus({ preventScroll: true });
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.hide(), STAYS_MS[kind]);
    return { kind, spoken: [words, ...lines.map(({ text }) => text)].join(". ") };
  }

  /** What is below cannot be seen: the focus stays here. */
  stay(event) {
    const buttons = [this.part("undo"), this.part("next")].filter((button) => !button.hidden);
    const at = buttons.indexOf(document.activeElement);
    event.preventDefault();
    buttons[(at + 1) % buttons.length].focus();
  }

  hide() {
    window.clearTimeout(this.timer);
    if (!this.isShown) return;
    const hadFocus = this.root.contains(document.activeElement);
    this.root.hidden = true;
    // Not into a text field, which brings a phone's keyboard up.
    if (hadFocus && this.before?.isConnected && !this.before.matches("input")) this.before.focus();
  }
}

function paragraph({ text, isGoodie }) {
  const element = document.createElement("p");
  if (isGoodie) element.className = "verdict-goodie";
  element.textContent = text;
  return element;
}
