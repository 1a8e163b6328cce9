// The lines between the two columns: one a hit, from its base place to its new one.

import { byId, svg } from "./dom.js";

let order = null;

/** Draw the lines of an order of base ranks; without one, those of the last, at the places that rows have now. */
export function draw(given = order) {
  order = given;
  const area = byId("lines");
  const { width, height, top } = area.getBoundingClientRect();
  if (!order || !width) return area.replaceChildren();
  area.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const paths = [];
  for (const [index, rank] of order.entries()) {
    const from = middle(byId("base").children[rank - 1], top);
    const to = middle(byId("reranked").children[index], top);
    if (from === null && to === null) continue;
    paths.push(line(rank, index + 1, width, from ?? height, to ?? height));
  }
  // What moved up lies on top.
  paths.sort((one, other) => one.dataset.layer - other.dataset.layer);
  return area.replaceChildren(...paths);
}

/** Bring one hit forward, on both sides and between them; nothing for null. */
export function emphasise(rank) {
  const columns = byId("columns");
  columns.classList.toggle("looking", rank !== null);
  for (const node of columns.querySelectorAll("[data-hit]")) {
    node.classList.toggle("looked", Number(node.dataset.hit) === rank);
  }
}

function middle(row, top) {
  if (!row || row.hidden) return null;
  const box = row.getBoundingClientRect();
  return box.top - top + box.height / 2;
}

function line(rank, place, width, from, to) {
  const kind = place < rank ? "up" : place > rank ? "down" : "same";
  const half = width / 2;
  const path = svg("path", {
    class: kind,
    "data-hit": rank,
    "data-layer": { same: 0, down: 1, up: 2 }[kind],
    d: `M0 ${from} C${half} ${from} ${half} ${to} ${width} ${to}`,
  });
  return path;
}
