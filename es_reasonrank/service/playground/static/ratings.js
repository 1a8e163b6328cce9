// The rating of a hit, 0 to 3, and nDCG@10 of both orders where there are ratings.

import { get, post, Problem } from "./api.js";
import { byId, el, spoken } from "./dom.js";

const MEANINGS = ["not relevant", "related", "relevant", "just what is asked for"];
let rated = () => {};

/** Called with a base rank and a grade when a control is used. */
export function listen(onRate) {
  rated = onRate;
}

export function rating(hit, rank) {
  const choices = MEANINGS.map((meaning, grade) =>
    el(
      "label",
      { title: `${grade}: ${meaning}` },
      el("input", { type: "radio", name: `rating-${rank}`, value: grade, onchange: () => rated(rank, grade) }),
      el("span", {}, `${grade}`, spoken(`, ${meaning}`)),
    ),
  );
  return el("fieldset", { class: "rating" }, el("legend", { class: "spoken" }, `Rating of hit ${hit.id}`), choices);
}

/** Show known grades: a map from base ranks. */
export function showGrades(grades) {
  for (const input of document.querySelectorAll("#reranked .rating input")) {
    const rank = Number(input.closest("[data-hit]").dataset.hit);
    input.checked = grades.get(rank) === Number(input.value);
  }
}

/** Nobody may rate here: say so instead of failing at each press. */
export function forbid(forbidden) {
  byId("columns").classList.toggle("unrated", forbidden);
  for (const input of document.querySelectorAll("#reranked .rating input")) input.disabled = forbidden;
}

let writing = Promise.resolve();

/** Write a rating behind those that are being written, so that the last one stays. */
export function write(query, hit, grade) {
  const one = () => post("judgments", { query, document: { index: hit.index, id: hit.id }, grade });
  writing = writing.catch(() => {}).then(one);
  return writing;
}

/** Grades by base rank, and the measures of both orders; null where the caller may not see judgments. */
export async function measure(found, order) {
  const named = found.hits.map((hit) => ({ index: hit.index, id: hit.id }));
  const reranked = order.map((rank) => named[rank - 1]);
  try {
    const answer = await post("measures", { query: found.query, base: named, reranked });
    const places = new Map(named.map((each, index) => [JSON.stringify([each.index, each.id]), index + 1]));
    const grades = new Map(
      answer.grades.map((each) => [places.get(JSON.stringify([each.index, each.id])), each.grade]),
    );
    grades.delete(undefined);
    return { grades, base: answer.base, reranked: answer.reranked };
  } catch (error) {
    if (error instanceof Problem && [401, 403].includes(error.status)) return null;
    throw error;
  }
}

/** Queries that have judgments; none where the caller may not see them. */
export async function judgedQueries() {
  try {
    return (await get("queries")).queries;
  } catch (error) {
    if (error instanceof Problem && [401, 403].includes(error.status)) return [];
    throw error;
  }
}
