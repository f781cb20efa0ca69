// A page that could not be made right now: asks for it again when the shop said to.

import { jittered } from "./api.js";

const error = document.querySelector("[data-retry-after-seconds]");
const pauseMs = 1000 * Math.max(1, Number(error.dataset.retryAfterSeconds));

setTimeout(() => window.location.reload(), jittered(pauseMs));
