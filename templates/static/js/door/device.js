// What this device remembers: which one it is, at which gate it stands, and whether it is to be
// silent. Where the browser keeps nothing for us, it holds for as long as the page is open.

const KEY = "tigerfans-door";

/** 128 random bits as a UUID. `crypto.randomUUID` is for pages that came by HTTPS alone. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export class Device {
  constructor() {
    this.kept = read();
    if (!this.kept.id) this.keep({ id: newId() });
  }

  /** Which device it is: made once, and told to nobody but the shop. */
  get id() {
    return this.kept.id;
  }

  /** Where it stands; empty until somebody has said so. */
  get gate() {
    return this.kept.gate ?? "";
  }

  get isMute() {
    return this.kept.isMute === true;
  }

  /** Whether somebody had the camera on, when the page was last open. */
  get hadCamera() {
    return this.kept.hadCamera === true;
  }

  keep(changes) {
    Object.assign(this.kept, changes);
    try {
      window.localStorage.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // It is remembered until the page is closed.
    }
  }
}

function read() {
  try {
    const kept = JSON.parse(window.localStorage.getItem(KEY));
    return kept !== null && typeof kept === "object" ? kept : {};
  } catch {
    return {};
  }
}
