// How a script takes something over from the page, which works without it as well: last of all, when
// everything the script needs has been found to be there, and never for good.

/**
 * From now on `handle(form)` does what sending a form would do; `root` is the form, or is around some.
 *
 * Where a fault of the script, or a function that this browser lacks, keeps it from that, the form
 * sends itself as it does without a script. It must be one that may be sent twice.
 */
export function takeOver(root, handle) {
  root.addEventListener("submit", async (event) => {
    const form = event.target;
    event.preventDefault();
    try {
      await handle(form);
    } catch (error) {
      form.submit();
      throw error;
    }
  });
}

/** From now on the page is kept current; until then, and after a fault, retry.js loads it again. */
export function keepCurrent() {
  document.documentElement.setAttribute("data-kept-current", "");
}
