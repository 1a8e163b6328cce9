// The list of queries: those tried in this browser, and those that have judgments; with both nDCG@10.

import { address } from "./address.js";
import { byId, el, plural, score, signed } from "./dom.js";

const KEY = "es-reasonrank.playground.queries";
const MOST = 300;
const COLUMNS = [
  { name: "Query", key: "query" },
  { name: "Index", key: "index", minor: true },
  { name: "Profile", key: "profile", minor: true },
  { name: "Base", key: "base", number: true },
  { name: "Reranked", key: "reranked", number: true },
  { name: "Gain", key: "gain", number: true },
  { name: "Rated", key: "judged", number: true, minor: true },
];

let tried = stored();
let judged = [];
let sorted = { key: "gain", down: true };

/** Keep a search that was made, with its measures where it has any. */
export function remember(search, found, measured) {
  const entry = {
    search: { ...search, query: found.query, profile: found.profile },
    base: measured?.base?.ndcg ?? null,
    reranked: measured?.reranked?.ndcg ?? null,
    judged: measured?.grades.size ?? 0,
  };
  tried = [entry, ...tried.filter((each) => identity(each.search) !== identity(entry.search))].slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(tried));
  } catch {
    // A browser that keeps nothing shows what was tried in this tab.
  }
  show();
}

/** Judged queries as the service knows them. */
export function know(queries) {
  judged = queries;
  show();
}

/** Searches of the list that have judgments and no measure of this profile yet. */
export function unmeasured(profile) {
  return rows(profile).filter((row) => row.judged && row.gain === null && row.profile === profile).map((row) => row.search);
}

export function show(profile = byId("profile").value) {
  const all = rows(profile);
  byId("queries-count").textContent = all.length ? `${all.length}` : "";
  byId("measure").hidden = !unmeasured(profile).length;
  byId("measure").textContent = `Measure ${plural(unmeasured(profile).length, "query", "queries")} with ${profile}`;
  byId("queries-mean").textContent = mean(profile, all.filter((row) => row.gain !== null && row.profile === profile));
  byId("queries-table").replaceChildren(
    all.length
      ? table([...all].sort(compared))
      : el("p", { class: "hint" }, "No query was tried in this browser yet, and none has ratings."),
  );
}

function rows(profile) {
  const found = tried.map((entry) => row(entry));
  for (const each of judged) {
    const same = found.filter((row) => row.query === each.query && row.search.body === "" && row.index === each.index);
    for (const known of same) known.judged = Math.max(known.judged, each.judged);
    if (!same.some((known) => known.profile === profile)) found.push(row(fresh(each, profile)));
  }
  return found;
}

function row({ search, base, reranked, judged }) {
  const gain = base === null ? null : reranked - base;
  return { search, query: search.query, index: search.index, profile: search.profile, base, reranked, gain, judged };
}

function fresh({ query, index, judged }, profile) {
  const search = { index, query, body: "", profile, fields: "", depth: "", deadline: "" };
  return { search, base: null, reranked: null, judged };
}

function table(all) {
  const head = el("tr", {}, COLUMNS.map(heading));
  return el("table", {}, el("thead", {}, head), el("tbody", {}, all.map(line)));
}

function heading(column) {
  const active = sorted.key === column.key;
  const attributes = { scope: "col", class: `${column.number ? "number" : ""} ${column.minor ? "minor" : ""}` };
  if (active) attributes["aria-sort"] = sorted.down ? "descending" : "ascending";
  const arrow = el("span", { "aria-hidden": "true" }, active ? (sorted.down ? " ↓" : " ↑") : "");
  return el("th", attributes, el("button", { type: "button", onclick: () => sort(column) }, column.name, arrow));
}

function sort(column) {
  const down = sorted.key === column.key ? !sorted.down : Boolean(column.number);
  sorted = { key: column.key, down };
  show();
  const index = COLUMNS.indexOf(column);
  byId("queries-table").querySelectorAll("th button")[index].focus();
}

function line(each) {
  const direction = each.gain > 0.0005 ? "up" : each.gain < -0.0005 ? "down" : "same";
  const mark = { up: "▲ ", down: "▼ ", same: "= " }[direction];
  const link = el("a", { href: address(each.search) }, each.query);
  const body = each.search.body ? el("span", { class: "badge" }, "JSON") : null;
  return el(
    "tr",
    {},
    el("td", { class: "query-cell" }, link, body),
    el("td", { class: "minor" }, each.index),
    el("td", { class: "minor" }, each.profile),
    el("td", { class: "number" }, score(each.base)),
    el("td", { class: "number" }, score(each.reranked)),
    el("td", { class: `number ${each.gain === null ? "" : direction}` }, each.gain === null ? "–" : mark + signed(each.gain)),
    el("td", { class: "number minor" }, `${each.judged}`),
  );
}

function compared(one, other) {
  const [first, second] = [one[sorted.key], other[sorted.key]];
  if (first === null || second === null) return (first === null) - (second === null);
  const order = typeof first === "string" ? first.localeCompare(second) : first - second;
  return sorted.down ? -order : order;
}

function mean(profile, measured) {
  if (!measured.length) return "";
  const of = (key) => measured.reduce((sum, row) => sum + row[key], 0) / measured.length;
  const better = measured.filter((row) => row.gain > 0.0005).length;
  const worse = measured.filter((row) => row.gain < -0.0005).length;
  const counts = `${plural(measured.length, "query", "queries")}, ${better} better and ${worse} worse`;
  return `${profile}: mean nDCG@10 ${score(of("base"))} → ${score(of("reranked"))} (${counts})`;
}

const identity = (search) => JSON.stringify([search.index, search.query, search.body, search.profile]);

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each?.search?.query === "string") : [];
  } catch {
    return [];
  }
}
