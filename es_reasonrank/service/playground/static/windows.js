// What the ranker was asked and how it answered, window by window, as it comes.

import { byId, el, plural, seconds } from "./dom.js";

const OPENED = 3;
let windows = [];

/** Begin anew; `waiting` says what is waited for, if anything. */
export function clear(waiting) {
  windows = [];
  byId("windows").replaceChildren(waiting ? el("p", { class: "asking" }, waiting) : "");
  byId("windows-tally").textContent = "";
}

export function add(window) {
  windows.push(window);
  const list = byId("windows");
  const before = list.querySelector(".asking");
  if (isPlain(window)) list.insertBefore(plain(), before);
  else list.insertBefore(row(window), before);
  byId("windows-tally").textContent = tally();
}

export function end() {
  byId("windows").querySelector(".asking")?.remove();
  if (!windows.length) byId("windows").replaceChildren(el("p", { class: "hint" }, "The ranker was not asked."));
}

/** One hit, one score, no words: not worth a row of its own. */
const isPlain = (window) => window.ranks && !window.reasoning && !window.reply && window.shown.length === 1;

function plain() {
  const same = windows.filter(isPlain);
  const known = byId("windows").querySelector(".plain") ?? el("p", { class: "plain hint" });
  const slowest = Math.max(...same.map((window) => window.seconds));
  known.textContent =
    `${plural(same.length, "hit")} scored one by one, without reasoning; the slowest took ${seconds(slowest)}.`;
  return known;
}

function row(window) {
  const open = windows.filter((each) => each.reasoning).length <= OPENED && Boolean(window.reasoning);
  const summary = el(
    "summary",
    {},
    el("span", { class: "number" }, `${window.number}`),
    el("span", { class: "span" }, span(window)),
    el("span", { class: `outcome-word ${window.ranks ? "good" : "bad"}` }, `${mark(window)} ${window.outcome}`),
    el("span", { class: "cost" }, cost(window)),
  );
  return el("details", { class: "window", open }, summary, el("div", { class: "window-body" }, body(window)));
}

function body(window) {
  const parts = [];
  if (window.detail) parts.push(el("p", { class: window.ranks ? "hint" : "why" }, window.detail));
  if (window.reasoning) parts.push(el("p", { class: "reasoning" }, window.reasoning.trim()));
  const answer = answerOf(window);
  if (answer) parts.push(el("p", { class: "reply" }, answer));
  if (window.shown.length > 1) parts.push(order(window));
  return parts;
}

/** The reply without the reasoning, where the model writes both in one. */
function answerOf({ reply, reasoning }) {
  const at = reasoning ? reply.lastIndexOf(reasoning.trim()) : -1;
  return (at < 0 ? reply : reply.slice(at + reasoning.trim().length).replace(/^\s*<\/\w+>/, "")).trim();
}

function order(window) {
  const kept = window.shown.join() === window.order.join();
  const text = kept ? "order kept" : `${window.shown.join(" ")} → ${window.order.join(" ")}`;
  return el("p", { class: "order" }, `Base ranks: ${text}`);
}

function span(window) {
  const stage = window.stage ? `${window.stage}: ` : "";
  if (window.shown.length === 1) return `${stage}hit ${window.shown[0]}`;
  return `${stage}${plural(window.shown.length, "hit")}`;
}

function cost(window) {
  const parts = [window.remembered ? "remembered" : seconds(window.seconds)];
  if (window.generated_tokens) parts.push(`${window.generated_tokens.toLocaleString("en")} tokens`);
  if (window.attempts > 1) parts.push(`${window.attempts} attempts`);
  return parts.join(" · ");
}

function mark(window) {
  return window.outcome === "ok" ? "✓" : window.ranks ? "≈" : "✕";
}

function tally() {
  const counts = new Map();
  for (const window of windows) counts.set(window.outcome, (counts.get(window.outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(", ");
}
