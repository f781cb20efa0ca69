// Keeps the door's page on the device, so that it opens without a network: the page as the shop last
// gave it, and the files that it names. Nothing else: no answer of the API and no other page.
//
// The shop is asked first, so that its newest page is the one that opens; the kept one stands in
// where the shop is away or slow. A page takes the place of the one before once all of its files are
// there. Their addresses change with their content, so a kept one is always right.

"use strict";

const CACHE = "tigerfans-door";
const PAGE = "/door";
// Where a login is asked for: a worker cannot.
const LOGIN = "/admin";
const FILES = "/static/";
const NAMED = /(?:href|src)="(\/static\/[^"]+)"/g;
// Whoever opens the page waits for the shop no longer, if it is kept.
const ANSWER_MS = 4000;

self.addEventListener("install", (event) => {
  self.skipWaiting();
  // Whoever may not open it yet has it kept when they do.
  event.waitUntil(fetch(PAGE, { headers: { Accept: "text/html" } }).then(keep).catch(() => {}));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && url.pathname === PAGE) event.respondWith(open(event));
  else if (url.pathname.startsWith(FILES)) event.respondWith(fileOf(request));
});

async function open(event) {
  const asked = fetch(event.request);
  const seen = asked.then((answer) => see(answer.clone()));
  event.waitUntil(seen.catch(() => {}));
  const kept = await find(PAGE);
  const answer = await (kept ? inTime(asked) : asked);
  if (!answer || (answer.status >= 500 && kept)) return kept;
  return answer.status === 401 ? Response.redirect(LOGIN) : answer;
}

/** The answer; undefined where none comes, or none in time. */
function inTime(asked) {
  const late = new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
  return Promise.race([asked.catch(() => undefined), late]);
}

/** Whoever may not open the page any more does not get it from here either. */
async function see(answer) {
  if (answer.status === 401 || answer.status === 403) await (await caches.open(CACHE)).delete(PAGE);
  else await keep(answer);
}

async function keep(answer) {
  if (answer.status !== 200 || answer.redirected) return;
  const page = answer.clone();
  const named = new Set(Array.from((await answer.text()).matchAll(NAMED), ([, path]) => path));
  const cache = await caches.open(CACHE);
  await Promise.all([...named].map((path) => keepFile(cache, path)));
  await cache.put(PAGE, page);
  for (const { url } of await cache.keys()) {
    const { pathname } = new URL(url);
    if (pathname !== PAGE && !named.has(pathname)) await cache.delete(url);
  }
}

async function keepFile(cache, path) {
  if (!(await cache.match(path, { ignoreVary: true }))) await cache.add(path);
}

async function fileOf(request) {
  return (await find(request.url)) ?? fetch(request);
}

async function find(path) {
  return (await caches.open(CACHE)).match(path, { ignoreVary: true });
}
