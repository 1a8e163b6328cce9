// One hit at length: beside the columns where there is room, else a sheet at the foot of the window.

import { direction, titleOf } from "./columns.js";
import { byId, el, score } from "./dom.js";

const panel = () => byId("hit");

export function listen() {
  byId("hit-close").addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel().classList.contains("open")) close();
  });
}

export function clear() {
  close();
  byId("hit-content").replaceChildren(
    el("p", { class: "hint" }, "Point at a hit, or move to it with the arrow keys, to read its text. Keys 0 to 3 rate it."),
  );
}

export function show(found, order, rank) {
  const hit = found.hits[rank - 1];
  const place = order ? order.indexOf(rank) + 1 : 0;
  byId("hit-content").replaceChildren(
    el("h3", {}, titleOf(hit)),
    el("p", { class: "hint" }, `${hit.index} · ${hit.id}`),
    el("p", { class: `places ${place ? direction(rank, place) : ""}` }, places(hit, rank, place)),
    el("p", { class: "text", tabindex: "0", role: "region", "aria-label": "Text of the hit" }, hit.text || hit.note),
  );
}

/** Bring it forward, where it is a sheet. */
export function open() {
  panel().classList.add("open");
}

export function close() {
  panel().classList.remove("open");
}

function places(hit, rank, place) {
  const base = `Base rank ${rank}, score ${score(hit.score)}`;
  if (!place) return base;
  if (place === rank) return `${base}. = Stays there.`;
  return `${base}. ${place < rank ? "▲ Up" : "▼ Down"} to ${place}.`;
}
