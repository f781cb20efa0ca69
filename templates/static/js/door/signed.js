// What a ticket's code says, checked on the device as the shop does it (`booking/door_codes.py`,
// `booking/scan_texts.py`): by the shop's public keys, with what the browser has for Ed25519.

const SIGNS = "0123456789ABCDEFGHJKLMNPQRSTUVWX";
const KIND = "(?:Q[0-9])?";
const SIGNED = new RegExp(`^${KIND}(TIGER[0-9].*)$`);
const CODE = new RegExp(`^TIGER1([${SIGNS}]{140})$`);
// By what these say, the shop has to look their tickets up.
const LOOKED_UP = [
  new RegExp(`^${KIND}TIGERFANS[0-9A-F]{32}TF[0-9A-Z]{12}$`),
  new RegExp(`^(?:${KIND}TF)?[0-9A-Z]{12}$`),
];
// More than any code needs.
const CHARACTERS_MAX = 512;

// Of a record: key, shop, order without its zero byte, ticket, class; behind it is its signature.
const SHOP_AT = 1;
const ORDER_AT = 5;
const TICKET_AT = 20;
const CLASS_AT = 21;
const RECORD_BYTES = 23;
const SIGNED_BYTES = RECORD_BYTES + 64;
const END_KEY_HEX_DIGITS = 16;

const encoder = new TextEncoder();

/** Whether this browser checks signatures; some of its functions are for HTTPS alone. */
export async function canCheck() {
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(32), "Ed25519", false, ["verify"]);
    return true;
  } catch {
    return false;
  }
}

/**
 * What a text says: `{ result: "valid", key, ticket, classNumber }`, where `key` is what the list of
 * ends calls the ticket and `ticket` counts from 1; or `unknown`, `wrong_shop` or `forged`; or
 * `short` for a code that the shop has to look up, `newer` for one of a key that is not kept yet.
 *
 * `keys` are the shop's, as `GET /api/door/keys` gives them.
 */
export async function readText(text, keys) {
  if (text.length > CHARACTERS_MAX) return { result: "unknown" };
  const plain = text.replace(/[^0-9A-Za-z]+/g, "").toUpperCase();
  const signed = SIGNED.exec(plain);
  if (!signed) return { result: LOOKED_UP.some((form) => form.test(plain)) ? "short" : "unknown" };
  const bytes = bytesOf(signed[1]);
  if (!bytes) return { result: "unknown" };
  if (hexOf(bytes.subarray(SHOP_AT, ORDER_AT)) !== keys.shop) return { result: "wrong_shop" };
  const key = keys.keys.find(({ id }) => id === bytes[0]);
  if (!key) return { result: keys.keys.every(({ id }) => id < bytes[0]) ? "newer" : "forged" };
  if (!(await isSigned(bytes, key))) return { result: "forged" };
  const order = `${hexOf(bytes.subarray(ORDER_AT, TICKET_AT))}00`;
  const ticket = bytes[TICKET_AT];
  return {
    result: "valid",
    key: await endKey(order, ticket),
    ticket: ticket + 1,
    classNumber: bytes[CLASS_AT] * 256 + bytes[CLASS_AT + 1],
  };
}

/** The record and its signature; null for what is none. */
function bytesOf(code) {
  const signs = CODE.exec(code)?.[1];
  if (!signs) return null;
  const bytes = new Uint8Array(SIGNED_BYTES);
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const sign of signs) {
    held = ((held << 5) | SIGNS.indexOf(sign)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at] = (held >> bits) & 0xff;
    at += 1;
  }
  // The bits that are left are of no byte: one record has one text.
  return (held & ((1 << bits) - 1)) === 0 ? bytes : null;
}

async function isSigned(bytes, key) {
  const raw = Uint8Array.from(
    atob(key.public_key.replace(/-/g, "+").replace(/_/g, "/")),
    (sign) => sign.charCodeAt(0),
  );
  const verifying = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  const head = encoder.encode("TIGER1");
  const said = new Uint8Array(head.length + RECORD_BYTES);
  said.set(head);
  said.set(bytes.subarray(0, RECORD_BYTES), head.length);
  return crypto.subtle.verify("Ed25519", verifying, bytes.subarray(RECORD_BYTES), said);
}

async function endKey(order, ticket) {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(`${order}:${ticket}`));
  return hexOf(new Uint8Array(digest)).slice(0, END_KEY_HEX_DIGITS);
}

function hexOf(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
