// How money, numbers and times read, and the two ways a page changes: text and visibility.
// Nothing here, or anywhere, turns data into markup.

const numbers = new Intl.NumberFormat("en");
// British, for 18 Jun 2027: the order in which the pages write all dates. Part by part, for a ready
// style names no zone.
const moments = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

const times = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const amounts = new Map();

/** €65.00 from 6500 cents of "eur", ¥1,500 from 1500 of "jpy". */
export function money(units, currency) {
  if (!amounts.has(currency)) amounts.set(currency, amountsOf(currency));
  const { format, digits } = amounts.get(currency);
  return format.format(units / 10 ** digits);
}

/** How amounts of a currency read; of the shop's own, the page says how many decimals they have. */
function amountsOf(currency) {
  const page = document.documentElement.dataset;
  const style = { style: "currency", currency };
  if (page.currency === currency) {
    const digits = Number(page.currencyDigits);
    Object.assign(style, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  const format = new Intl.NumberFormat("en", style);
  return { format, digits: format.resolvedOptions().maximumFractionDigits };
}

/** The same where somebody else named the currency, and may have named none there is. */
export function toldMoney(cents, currency) {
  return /^[a-z]{3}$/i.test(currency) ? money(cents, currency) : `${cents} ${currency}`.trim();
}

export function count(number) {
  return numbers.format(number);
}

/**
 * A moment in the reader's own time zone, which it names, from ISO 8601. GMT−5 with a minus, for a
 * line may end behind a hyphen.
 */
export function localMoment(iso) {
  return moments.format(new Date(iso)).replace("GMT-", "GMT\u2212");
}

/** 10:02 in the reader's own time zone, and which day it was where that is not today. */
export function localTime(iso) {
  const when = new Date(iso);
  const day = days.format(when);
  return day === days.format(new Date()) ? times.format(when) : `${times.format(when)}, ${day}`;
}

/** `localMoment` for each moment that the server wrote below `root`, in UTC. */
export function showLocalMoments(root) {
  for (const time of root.querySelectorAll("time")) {
    if (time.dateTime) setText(time, localMoment(time.dateTime));
  }
}

/** 4:09 from 249 seconds. */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** 12 s, 3 min, 5 h: a rough age. */
export function age(durationMs) {
  const seconds = Math.max(0, Math.round(durationMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

/** Sets the text only where it differs, so that selections and readers are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Of all parts below `root` that belong to certain states, shows those of this one. */
export function showState(root, state) {
  root.dataset.state = state;
  for (const part of root.querySelectorAll("[data-when]")) {
    part.hidden = !part.dataset.when.split(" ").includes(state);
  }
}

/** Says it to screen readers. */
export function announce(text) {
  const region = document.querySelector("[data-announce]");
  if (region) setText(region, text);
}
