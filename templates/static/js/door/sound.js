// Yes and no for who does not look: two short rising tones or a long low one, and as many
// vibrations. A browser plays nothing before somebody has touched the page.

// Frequency in Hz, start and duration in seconds.
const TONES = {
  good: [
    [880, 0, 0.12],
    [1320, 0.13, 0.18],
  ],
  checked: [
    [880, 0, 0.12],
    [880, 0.2, 0.12],
    [1320, 0.33, 0.18],
  ],
  unsure: [[440, 0, 0.25]],
  bad: [
    [196, 0, 0.35],
    [147, 0.36, 0.5],
  ],
};
// Milliseconds of vibration, and of pauses between them.
const PATTERNS = { good: [90], checked: [90, 60, 90], unsure: [250], bad: [350, 120, 350] };
const LOUDNESS = 0.5;

export class Sound {
  constructor() {
    this.context = null;
    for (const kind of ["pointerdown", "keydown"]) {
      document.addEventListener(kind, () => this.wake(), { capture: true, passive: true });
    }
  }

  wake() {
    if (!window.AudioContext) return;
    this.context = this.context ?? new AudioContext();
    if (this.context.state === "suspended") this.context.resume().catch(() => {});
  }

  /** Lets the kind of a verdict be heard and felt. */
  play(kind) {
    if (navigator.vibrate) navigator.vibrate(PATTERNS[kind]);
    if (!this.context || this.context.state !== "running") return;
    for (const [frequency, start, duration] of TONES[kind]) this.tone(frequency, start, duration, kind);
  }

  tone(frequency, start, duration, kind) {
    const from = this.context.currentTime + start;
    const loudness = this.context.createGain();
    const tone = this.context.createOscillator();
    // A harsher sound for no: not by the pitch alone.
    tone.type = kind === "bad" ? "sawtooth" : "sine";
    tone.frequency.value = frequency;
    loudness.gain.setValueAtTime(LOUDNESS, from);
    loudness.gain.exponentialRampToValueAtTime(0.001, from + duration);
    tone.connect(loudness);
    loudness.connect(this.context.destination);
    tone.start(from);
    tone.stop(from + duration);
  }
}
