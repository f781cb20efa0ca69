// The camera: starts and stops it, lights its torch, and tells of each code that comes into view,
// once. While nobody looks at the page it is off.

import { mayComeBack, sleep } from "../api.js";
import { readerOf, troubleOf } from "./codes.js";

// A code is in view for as long as it was seen so recently.
const GONE_MS = 2500;
const TROUBLE_PAUSE_MS = 2000;
// Nobody has come for so long.
const IDLE_AFTER_MS = 20000;

const PLEASE = "Hold a ticket’s code into the picture.";
// Whose tickets a page with several are, and who has come, is for people to say.
const ONE_PLEASE = "More than one code is in the picture: one at a time, please.";
// What tickets' codes begin with, signed ones and those of before.
const TICKET = /^TIGER/;

const WANTED = {
  audio: false,
  video: {
    facingMode: { ideal: "environment" },
    width: { ideal: 1280 },
    height: { ideal: 720 },
  },
};

// By the name of the browser's error.
const REASONS = {
  NotAllowedError: "The camera is not allowed here. Allow it in the browser’s settings for this page.",
  NotFoundError: "This device has no camera.",
  NotReadableError: "The camera is busy: another program has it.",
  AbortError: "The camera could not be started. Try again.",
  OverconstrainedError: "This device has no camera that fits.",
};

/** Why there can be no camera here; null where there may be one. */
export function whyNone() {
  if (!window.isSecureContext) {
    return "The camera needs HTTPS or localhost. Codes can be typed, or read by a hand scanner.";
  }
  return navigator.mediaDevices?.getUserMedia ? null : "This browser has no camera for pages.";
}

export class Camera {
  /**
   * `video` shows it; `onText(text)` hears of each code that comes into view, `onState({ isOn,
   * hasTorch, isLit, words })` of what becomes of the camera.
   */
  constructor(video, onText, onState) {
    this.video = video;
    this.onText = onText;
    this.tell = (words) =>
      onState({ isOn: this.isOn, hasTorch: this.hasTorch, isLit: this.isLit, words });
    this.stream = null;
    this.isWanted = false;
    this.isLit = false;
    this.seen = new Map();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.end("");
      else if (this.isWanted) this.start();
    });
  }

  get isOn() {
    return this.stream !== null;
  }

  get track() {
    return this.stream?.getVideoTracks()[0];
  }

  get hasTorch() {
    // Unknown to some browsers, whose cameras have none for us.
    return Boolean(this.track?.getCapabilities?.().torch);
  }

  async start() {
    this.isWanted = true;
    if (this.isOn) return;
    this.tell("Starting the camera…");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia(WANTED);
    } catch (error) {
      this.isWanted = false;
      return this.tell(REASONS[error.name] ?? `The camera did not start: ${error.message}`);
    }
    // Somebody may have stopped it, or started it twice, meanwhile.
    if (!this.isWanted || this.isOn || document.hidden) return stop(stream);
    this.stream = stream;
    this.track.addEventListener("ended", () => this.end("The camera stopped. Start it again."));
    this.video.srcObject = stream;
    await this.video.play().catch(() => {});
    this.keepAwake();
    this.tell(PLEASE);
    this.look(stream);
  }

  stop() {
    this.isWanted = false;
    this.end("The camera is off.");
  }

  end(words) {
    if (!this.isOn) return;
    stop(this.stream);
    this.stream = null;
    this.isLit = false;
    this.video.srcObject = null;
    this.lock?.release().catch(() => {});
    this.lock = null;
    this.tell(words);
  }

  async light() {
    if (!this.hasTorch) return;
    const isLit = !this.isLit;
    try {
      await this.track.applyConstraints({ advanced: [{ torch: isLit }] });
      this.isLit = isLit;
      this.tell("");
    } catch {
      this.tell("The light could not be switched.");
    }
  }

  /** Looks at the picture for as long as there is this one, never twice at a time. */
  async look(stream) {
    const reader = await readerOf(this.video);
    let hasTrouble = false;
    this.seenAt = performance.now();
    while (this.stream === stream) {
      const isIdle = performance.now() - this.seenAt > IDLE_AFTER_MS;
      let pauseMs = isIdle ? reader.idlePauseMs : reader.pauseMs;
      try {
        const texts = this.video.videoWidth ? await reader.read() : [];
        if (this.stream !== stream) return;
        if (hasTrouble) this.tell(PLEASE);
        hasTrouble = this.choose(texts);
      } catch (error) {
        // A picture that the browser could not look at is followed by another one.
        if (!(error instanceof DOMException)) {
          this.tell(troubleOf(error));
          if (!mayComeBack(error)) return;
          hasTrouble = true;
          pauseMs = TROUBLE_PAUSE_MS;
        }
      }
      await sleep(pauseMs);
    }
  }

  /** Takes one of the texts in view; returns whether there are several that it could be. */
  choose(texts) {
    const tickets = texts.filter((text) => TICKET.test(text));
    const [text, another] = tickets.length > 0 ? tickets : texts;
    if (another !== undefined) this.tell(ONE_PLEASE);
    else if (text !== undefined) this.see(text);
    return another !== undefined;
  }

  /** Tells of a text that was not in view a moment ago. */
  see(text) {
    const now = performance.now();
    for (const [each, at] of this.seen) if (now - at > GONE_MS) this.seen.delete(each);
    const isNew = !this.seen.has(text);
    this.seenAt = now;
    this.seen.set(text, now);
    if (isNew) this.onText(text);
  }

  /** The screen stays on, where the browser can have that. */
  async keepAwake() {
    try {
      this.lock = (await navigator.wakeLock?.request("screen")) ?? null;
    } catch {
      this.lock = null;
    }
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
