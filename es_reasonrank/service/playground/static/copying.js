// The search as a request for elsewhere: to the clipboard, or shown where the browser has none to give.

import { byId } from "./dom.js";

const PAUSE = 1600;

/** `texts` gives the texts of the last search. */
export function listen(texts) {
  for (const [id, name] of [["copy-curl", "curl"], ["copy-python", "python"]]) {
    byId(id).addEventListener("click", () => copy(byId(id), texts()[name]));
  }
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    byId("copied-text").value = text;
    byId("copied").showModal();
    byId("copied-text").select();
    return;
  }
  const label = button.textContent;
  button.textContent = "Copied";
  button.disabled = true;
  setTimeout(() => Object.assign(button, { textContent: label, disabled: false }), PAUSE);
}
