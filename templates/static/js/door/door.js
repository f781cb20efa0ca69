// The door: what the camera sees, a hand scanner types and somebody enters goes one way, and what is
// decided about it is shown, heard and felt.

import { sleep } from "../api.js";
import { announce, setText } from "../format.js";
import { takeOver } from "../takeover.js";
import { Alone } from "./alone.js";
import { Camera, whyNone } from "./camera.js";
import { Device } from "./device.js";
import { Figures } from "./figures.js";
import { Keys } from "./keys.js";
import { Line } from "./line.js";
import { LastScans } from "./last.js";
import { Offline } from "./offline.js";
import { Scans } from "./scans.js";
import { Sound } from "./sound.js";
import { Store } from "./store.js";
import { UndoButton } from "./undo.js";
import { Verdict } from "./verdict.js";

// As the shop has it (`door/`); what comes a moment too late is refused there, in a sentence.
const UNDO_MS = 15 * 60 * 1000;
// For so long a verdict is seen, where the next ticket was scanned before it was there.
const SEEN_MS = { good: 800, checked: 800, unsure: 2000, bad: 2000 };
// A reader is told after the focus has moved, or hears that alone.
const ANNOUNCE_AFTER_MS = 100;

const find = (selector) => document.querySelector(selector);
const form = find("[data-scan]");
const field = form.elements.text;
const gateField = form.elements.gate;

const device = new Device();
const store = new Store();
const alone = new Alone(store, classNames());
const scans = new Scans(device, alone);
const sound = new Sound();
const verdict = new Verdict(find("[data-verdict]"));
const verdictUndo = new UndoButton(find("[data-verdict-undo]"));
const last = new LastScans(find("[data-last]"), { canUndo, undo });
const figures = new Figures(find("[data-figures]"), showLive);
const offline = new Offline(find("[data-offline]"), {
  store,
  alone,
  onAnswer: ({ scan_id: scanId }, answer) => last.answer(scanId, answer),
});

const line = new Line(
  async (text) => {
    // Nobody takes the verdict of the ticket before for this one's.
    verdict.wait();
    setText(find("[data-wait]"), "One moment…");
    try {
      const answer = await scans.scan(text);
      const kind = show({ ...answer, at: new Date().toISOString() });
      if (!line.isEmpty) await sleep(SEEN_MS[kind]);
    } finally {
      setText(find("[data-wait]"), "");
    }
  },
  (text) => show({ text, result: "too_many", at: new Date().toISOString() }),
);

/** What is decided about a text, wherever it came from. */
function take(text) {
  // It may have been typed, and not left.
  takeGate();
  return device.gate ? line.add(text) : askForGate();
}

function show(scan) {
  const { kind, spoken } = verdict.show(scan);
  verdictUndo.of(canUndo(scan) ? () => undo(scan) : null);
  if (!device.isMute) sound.play(kind);
  announce("");
  window.setTimeout(() => announce(spoken), ANNOUNCE_AFTER_MS);
  // Whoever finds this device later finds no codes on it.
  if (scan.scan_id) last.add({ ...scan, text: undefined });
  figures.refresh();
  offline.show();
  return kind;
}

function canUndo(scan) {
  const isYoung = Date.now() - Date.parse(scan.at) < UNDO_MS;
  return scan.result === "admitted" && !scan.undone && scan.verdict === undefined && isYoung;
}

async function undo(scan) {
  try {
    await scans.undo(scan);
    show({ ...scan, undone: true });
  } catch (error) {
    show({ result: "refused", detail: error.message, at: new Date().toISOString() });
  }
}

// --- The gate ------------------------------------------------------------------------------------

function showGate(isAsked) {
  find("[data-gate-field]").hidden = !isAsked;
  find("[data-gate]").hidden = isAsked;
  setText(find("[data-gate-name]"), device.gate);
}

/** Before the first scan somebody has to say where this device stands. */
function askForGate() {
  showGate(true);
  gateField.focus();
  gateField.select();
}

function takeGate() {
  const gate = gateField.value.trim();
  if (!gate) return;
  device.keep({ gate });
  showGate(false);
}

find("[data-gate-change]").addEventListener("click", askForGate);
gateField.addEventListener("change", takeGate);

// --- The camera ----------------------------------------------------------------------------------

const cameraButton = find("[data-camera-switch]");
const lightButton = find("[data-light]");
const camera = new Camera(find("[data-video]"), take, ({ isOn, hasTorch, isLit, words }) => {
  find("[data-camera]").dataset.state = isOn ? "on" : "off";
  setText(cameraButton, isOn ? "Stop the camera" : "Start the camera");
  cameraButton.classList.toggle("button-quiet", isOn);
  lightButton.hidden = !hasTorch;
  lightButton.setAttribute("aria-pressed", String(isLit));
  setText(find("[data-camera-words]"), words);
});

function prepareCamera() {
  const why = whyNone();
  cameraButton.hidden = why !== null;
  if (why) return setText(find("[data-camera-words]"), why);
  cameraButton.addEventListener("click", () => {
    device.keep({ hadCamera: !camera.isOn });
    if (camera.isOn) camera.stop();
    else camera.start();
  });
  lightButton.addEventListener("click", () => camera.light());
  if (device.hadCamera) camera.start();
}

// --- The rest ------------------------------------------------------------------------------------

const muteButton = find("[data-mute]");

function showMute() {
  muteButton.setAttribute("aria-pressed", String(device.isMute));
}

muteButton.addEventListener("click", () => {
  device.keep({ isMute: !device.isMute });
  showMute();
});

function showLive(isLive, words) {
  const live = find("[data-live]");
  live.dataset.state = isLive ? "live" : "lost";
  setText(find("[data-live-words]"), words);
  if (isLive) offline.hear();
}

/** By their numbers on the ledger, which stand in the codes. */
function classNames() {
  const named = document.querySelectorAll("template[data-class]");
  return new Map(Array.from(named, (each) => [Number(each.dataset.class), each.content.textContent]));
}

gateField.value = device.gate || gateField.value;
showGate(device.gate === "");
showMute();
prepareCamera();
new Keys(field, take);
find("[data-door]").dataset.scripted = "";
takeOver(form, async () => {
  const text = field.value.trim();
  field.value = "";
  if (text) await take(text);
});
