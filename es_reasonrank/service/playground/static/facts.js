// What came of a search, in a sentence and a few figures.

import { byId, el, plural, score, seconds, signed } from "./dom.js";

const STATUS = {
  ok: ["✓", "reranked"],
  partial: ["≈", "partly reranked"],
  failed: ["✕", "base order kept"],
  skipped: ["–", "nothing to rerank"],
};
const ADVICE = { deadline: "Raise the deadline to wait longer." };

export function showFound(found) {
  byId("summary").textContent = found.hits.length
    ? `${plural(found.hits.length, "hit")} found; ${found.profile} reranks ${found.depth} of them.`
    : `No hits for “${found.query}”.`;
  byId("facts").replaceChildren(fact("Search", seconds(found.seconds)));
}

/** `measured` is undefined until it is known, and null where it may not be. */
export function showRanked(found, ranked, measured) {
  const kept = ranked.status === "failed" || ranked.status === "skipped";
  byId("summary").textContent = kept ? "The base order is kept." : ranked.summary;
  byId("facts").replaceChildren(
    ...[status(ranked), quality(measured), time(found, ranked), tokens(ranked), ranker(found)].flat(),
  );
}

function status(ranked) {
  const [mark, words] = STATUS[ranked.status];
  const said = ranked.remembered ? "remembered from before" : words;
  const reason = ranked.reason ? ` (${ranked.reason})` : "";
  const value = el("span", { class: `status ${ranked.status}` }, `${mark} ${said}${reason}`);
  const detail = [ranked.detail && sentence(ranked.detail), ADVICE[ranked.reason]].filter(Boolean).join(" ");
  return fact("Status", value, detail);
}

function quality(measured) {
  if (measured === undefined) return fact("nDCG@10", "…");
  if (!measured) return fact("nDCG@10", "–", "Ratings need a key with scope write; see Access.");
  if (!measured.base) return fact("nDCG@10", "–", "Rate hits to measure both orders.");
  const gain = measured.reranked.ndcg - measured.base.ndcg;
  const direction = gain > 0.0005 ? "up" : gain < -0.0005 ? "down" : "same";
  const value = [
    `${score(measured.base.ndcg)} → ${score(measured.reranked.ndcg)} `,
    el("span", { class: direction }, signed(gain)),
  ];
  return fact("nDCG@10", value, `Rated in the top 10: ${measured.base.judged} → ${measured.reranked.judged}`);
}

function time(found, ranked) {
  const stages = [
    ["search", found.seconds],
    ["wait", ranked.queued],
    ["model", ranked.seconds],
  ];
  const whole = stages.reduce((sum, [, value]) => sum + value, 0);
  const bar = el("span", { class: "bar", "aria-hidden": "true" });
  for (const [name, value] of stages) {
    const part = el("span", { class: `of-${name}` });
    part.style.flexGrow = String(value / (whole || 1));
    bar.append(part);
  }
  const legend = stages.map(([name, value]) => el("span", { class: `stage of-${name}` }, `${name} ${seconds(value)}`));
  return fact("Time", [seconds(whole), bar], el("span", { class: "stages" }, legend));
}

function tokens(ranked) {
  if (ranked.remembered) return fact("Tokens", "0", "No model was asked.");
  const read = ranked.prompt_tokens.toLocaleString("en");
  const written = ranked.generated_tokens.toLocaleString("en");
  return fact("Tokens", `${read} in, ${written} out`);
}

function ranker(found) {
  return fact("Ranker", found.profile, found.model === found.profile ? "" : found.model);
}

function fact(name, value, detail = "") {
  return el(
    "div",
    { class: "fact" },
    el("dt", {}, name),
    el("dd", { class: "value" }, value),
    detail ? el("dd", { class: "detail" }, detail) : null,
  );
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
