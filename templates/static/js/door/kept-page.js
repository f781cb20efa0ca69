// Has the browser keep this page, by a service worker, for when there is no network.

const WORKER = "/door-worker.js";
const SCOPE = "/door";

/** Resolves to whether the page opens without a network from now on. */
export async function keepPage() {
  const workers = navigator.serviceWorker;
  if (!workers) return false;
  // Where texts may not become scripts, this is the one address that may.
  const policy = window.trustedTypes?.createPolicy("door-worker", { createScriptURL: () => WORKER });
  try {
    await workers.register(policy ? policy.createScriptURL("") : WORKER, { scope: SCOPE });
    await workers.ready;
    return true;
  } catch {
    return false;
  }
}
