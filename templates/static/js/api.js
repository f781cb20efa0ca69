// Talks to the shop's JSON API: one error for each way it can go wrong, and patient repetition.
// Everything else that is thrown is a fault of a script, or a function that this browser lacks.

const TIMEOUT_MS = 8000;
const RETRY_AFTER_DEFAULT_MS = 1000;
const PAUSE_FACTOR_MAX = 10;

/** What may go wrong between here and the shop. */
export class TroubleError extends Error {}

/** The shop answered, but not with what was asked for; the message is its sentence. */
export class ShopError extends TroubleError {
  constructor(status, problem, retryAfterMs) {
    super(problem.detail);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    /** The Idempotency-Key is used up: only another one gets further. */
    this.needsNewKey = problem.new_key_needed === true;
    /** What of the request is wrong, by its name there, where the shop says so. */
    this.field = problem.field;
  }

  /** Whether the same request may well succeed in a moment. */
  get isTemporary() {
    return this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** No answer came: no network, no shop, or none in time. What was asked may still happen. */
export class OfflineError extends TroubleError {}

/** Whether the same question may well be answered in a moment. */
export function mayComeBack(error) {
  return error instanceof OfflineError || error.isTemporary === true || error.status === 429;
}

export function getJson(path) {
  return request(path, {});
}

export function postJson(path, body, headers = {}, timeoutMs = TIMEOUT_MS) {
  const options = {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
  return request(path, options, timeoutMs);
}

export function postForm(path, fields) {
  return request(path, { method: "POST", body: new URLSearchParams(fields) });
}

/** A picture as it is, which names its own kind. */
export function postPicture(path, picture, timeoutMs = TIMEOUT_MS) {
  return request(path, { method: "POST", body: picture }, timeoutMs);
}

async function request(path, options, timeoutMs = TIMEOUT_MS) {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  try {
    // From the origin, since `fetch` takes no address with a name and a password in it, as a
    // relative one has where the page's has them.
    const asked = new Request(new URL(path, window.location.origin), {
      cache: "no-store",
      signal: deadline.signal,
      ...options,
      headers: { Accept: "application/json", ...options.headers },
    });
    const response = await orOffline(fetch(asked));
    if (response.ok) return await orOffline(response.json());
    throw new ShopError(response.status, await problemOf(response), retryAfterMs(response));
  } finally {
    clearTimeout(timer);
  }
}

/** Only what was underway and failed is taken for no answer; what could not begin is a fault. */
function orOffline(answer) {
  return answer.catch(() => {
    throw new OfflineError("The shop does not answer.");
  });
}

async function problemOf(response) {
  const fallback = { detail: "The shop could not do that. Please try again." };
  try {
    const problem = await response.json();
    return typeof problem.detail === "string" ? problem : fallback;
  } catch {
    return fallback;
  }
}

function retryAfterMs(response) {
  const seconds = Number.parseFloat(response.headers.get("Retry-After"));
  return Number.isFinite(seconds) ? seconds * 1000 : RETRY_AFTER_DEFAULT_MS;
}

/** A little more or less, so that a crowd that was turned away together does not return together. */
export function jittered(durationMs) {
  return durationMs * (0.8 + 0.4 * Math.random());
}

export function sleep(durationMs) {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Resolves when somebody looks at the page. */
export function visible() {
  return new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}

/**
 * Calls `ask` again and again, until it returns true, with a pause of `pauseMs()` between.
 *
 * Nothing is asked while nobody looks at the page. After failures the pause grows; each failure
 * is handed to `onFailure`. A fault of a script ends it: asking again would mend nothing. Returns a
 * function that ends the pause at once.
 */
export function repeat(ask, pauseMs, onFailure) {
  let wake = () => {};
  const rest = (durationMs) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, durationMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const run = async () => {
    let failures = 0;
    for (;;) {
      await visible();
      try {
        if (await ask()) return;
        failures = 0;
      } catch (error) {
        if (!(error instanceof TroubleError)) throw error;
        failures += 1;
        onFailure(error);
      }
      await rest(jittered(pauseMs() * Math.min(2 ** failures, PAUSE_FACTOR_MAX)));
    }
  };
  run();
  window.addEventListener("online", () => wake());
  return () => wake();
}
