// Both orders as lists. A hit is known by its base rank, everywhere.

import { byId, el, plural, score, spoken } from "./dom.js";
import { draw, emphasise } from "./lines.js";
import { rating } from "./ratings.js";

const FIRST = 20;
let shown = FIRST;
let listeners = { look: () => {}, open: () => {}, rate: () => {} };

/** What is told of a hit: `look` when it is pointed at, `open` when it is pressed, `rate` when a digit is typed. */
export function listen(given) {
  listeners = given;
  const columns = byId("columns");
  columns.addEventListener("pointerover", (event) => looked(event.target));
  columns.addEventListener("pointerleave", () => emphasise(null));
  columns.addEventListener("focusin", (event) => looked(event.target));
  columns.addEventListener("click", (event) => pressed(event.target));
  columns.addEventListener("keydown", typed);
  byId("more").addEventListener("click", toggle);
  new ResizeObserver(() => draw()).observe(columns);
}

/** The base order, and room for the other one. */
export function showBase(found) {
  shown = FIRST;
  byId("base").replaceChildren(...found.hits.map((hit, index) => baseRow(hit, index + 1)));
  byId("reranked").replaceChildren(...found.hits.map(() => el("li", { class: "waiting", "aria-hidden": "true" })));
  byId("base-note").textContent = note(found);
  byId("tally").replaceChildren(found.hits.length ? "waiting for the ranker" : "");
  cut(found.hits.length);
  draw(null);
}

export function showReranked(found, ranked) {
  const rows = ranked.order.map((rank, index) => rerankedRow(found, ranked, rank, index + 1));
  byId("reranked").replaceChildren(...rows);
  for (const [index, rank] of ranked.order.entries()) {
    const row = byId("base").children[rank - 1];
    row.classList.add(direction(rank, index + 1));
    row.querySelector(".move").replaceChildren(...target(rank, index + 1));
  }
  byId("tally").replaceChildren(...tally(ranked.order));
  cut(found.hits.length);
  draw(ranked.order);
}

/** What is left when there is no other order. */
export function showNothingMore() {
  byId("reranked").replaceChildren();
  byId("tally").replaceChildren();
}

export function direction(rank, place) {
  return place < rank ? "up" : place > rank ? "down" : "same";
}

export function titleOf(hit) {
  return hit.title || hit.text.trim().split("\n")[0].slice(0, 120) || hit.id;
}

function baseRow(hit, rank) {
  const text = [
    el("span", { class: "rank" }, spoken("Base rank "), `${rank}`),
    words(hit),
    el("span", { class: "score" }, spoken(", score "), score(hit.score)),
    el("span", { class: "move" }),
  ];
  return el("li", { "data-hit": rank }, el("button", { type: "button", class: "hit" }, text));
}

function rerankedRow(found, ranked, rank, place) {
  const hit = found.hits[rank - 1];
  const judged = place <= found.depth;
  const text = [
    el("span", { class: "rank" }, spoken("Rank "), `${place}`),
    el("span", { class: "move" }, moved(rank, place)),
    words(hit),
    el("span", { class: "score" }, spoken(", score "), judged ? score(ranked.scores[place - 1]) : "–"),
  ];
  const attributes = { "data-hit": rank, class: `${direction(rank, place)}${judged ? "" : " beyond"}` };
  return el("li", attributes, el("button", { type: "button", class: "hit" }, text), rating(hit, rank));
}

function words(hit) {
  const snippet = hit.title ? hit.text : hit.text.trim().split("\n").slice(1).join(" ");
  return el(
    "span",
    { class: "words" },
    el("span", { class: "title" }, titleOf(hit)),
    el("span", { class: "snippet" }, hit.note || snippet.slice(0, 200)),
  );
}

function moved(rank, place) {
  const by = Math.abs(rank - place);
  if (!by) return [el("span", { "aria-hidden": "true" }, "="), spoken(", as before: ")];
  const up = place < rank;
  return [el("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"} ${by}`), spoken(`, ${up ? "up" : "down"} ${by}: `)];
}

function target(rank, place) {
  if (rank === place) return [el("span", { "aria-hidden": "true" }, "="), spoken(", stays")];
  return [el("span", { "aria-hidden": "true" }, `${place < rank ? "▲" : "▼"} ${place}`), spoken(`, moves to ${place}`)];
}

function tally(order) {
  const counts = { up: 0, down: 0, same: 0 };
  for (const [index, rank] of order.entries()) counts[direction(rank, index + 1)] += 1;
  return [
    el("span", { class: "up" }, `▲ ${counts.up}`, spoken(" moved up,")),
    el("span", { class: "down" }, `▼ ${counts.down}`, spoken(" moved down,")),
    el("span", { class: "same" }, `= ${counts.same}`, spoken(" stay")),
  ];
}

function note(found) {
  const total = found.total === null ? "" : ` of ${found.more ? "more than " : ""}${found.total.toLocaleString("en")}`;
  return found.hits.length ? `${found.hits.length}${total}` : "no hits";
}

function cut(size) {
  for (const list of [byId("base"), byId("reranked")]) {
    for (const [index, row] of [...list.children].entries()) row.hidden = index >= shown;
  }
  byId("more").hidden = size <= FIRST;
  byId("more").textContent = shown > FIRST ? `Show the first ${FIRST}` : `Show all ${plural(size, "hit")}`;
}

function toggle() {
  const size = byId("base").children.length;
  shown = shown > FIRST ? FIRST : size;
  cut(size);
  draw();
}

const rankOf = (node) => Number(node.closest("[data-hit]")?.dataset.hit) || null;

function looked(node) {
  const rank = rankOf(node);
  if (rank === null) return;
  emphasise(rank);
  listeners.look(rank);
}

function pressed(node) {
  if (node.closest(".hit")) listeners.open(rankOf(node));
}

/** Arrows go from hit to hit, and across to the same hit on the other side; digits rate. */
function typed(event) {
  const button = event.target.closest(".hit");
  if (!button || event.ctrlKey || event.metaKey || event.altKey) return;
  const row = button.parentElement;
  const rank = rankOf(row);
  const next = {
    ArrowDown: () => row.nextElementSibling,
    ArrowUp: () => row.previousElementSibling,
    ArrowRight: () => byId("reranked").querySelector(`[data-hit="${rank}"]`),
    ArrowLeft: () => byId("base").querySelector(`[data-hit="${rank}"]`),
  }[event.key];
  if (next) {
    event.preventDefault();
    next()?.querySelector(".hit")?.focus();
  } else if (/^[0-3]$/.test(event.key)) {
    event.preventDefault();
    listeners.rate(rank, Number(event.key));
  }
}
