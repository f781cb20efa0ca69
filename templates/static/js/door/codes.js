// Reads the codes in a video: by the browser itself where it can, by the shop otherwise.

import { OfflineError, ShopError, postPicture } from "../api.js";

const FRAMES = "/api/door/frames";
const FRAME_MS = 4000;
// The longer side of what is sent: a code may fill a quarter of it, and JPEG makes some 60 KB.
const FRAME_PIXELS = 800;
const JPEG_QUALITY = 0.7;

/**
 * What reads `video`: `{ read, pauseMs, idlePauseMs }`, where `read()` resolves to the texts it sees.
 *
 * A picture costs the shop some 20 ms of a core: where nobody comes, it has fewer of them.
 */
export async function readerOf(video) {
  const detector = await ownDetector();
  if (!detector) return { read: () => askShop(video), pauseMs: 250, idlePauseMs: 800 };
  const read = async () => {
    const codes = await detector.detect(video);
    return codes.map((code) => code.rawValue);
  };
  return { read, pauseMs: 100, idlePauseMs: 200 };
}

async function ownDetector() {
  if (!window.BarcodeDetector) return null;
  try {
    const formats = await BarcodeDetector.getSupportedFormats();
    return formats.includes("qr_code") ? new BarcodeDetector({ formats: ["qr_code"] }) : null;
  } catch {
    // Some have the class, and nothing of the system to do it with.
    return null;
  }
}

const canvas = document.createElement("canvas");

async function askShop(video) {
  const scale = Math.min(1, FRAME_PIXELS / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
  if (!picture) return [];
  const { texts } = await postPicture(FRAMES, picture, FRAME_MS);
  return texts;
}

/** Why codes cannot be read right now, in words for who holds the device. */
export function troubleOf(error) {
  if (error instanceof OfflineError) return "No answer from the shop, which reads the camera here.";
  if (error instanceof ShopError) return error.message;
  throw error;
}
