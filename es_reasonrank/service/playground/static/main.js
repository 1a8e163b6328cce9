// The page: its controls, its two views, and one search at a time.

import * as access from "./access.js";
import { address, parsed, request } from "./address.js";
import { lines } from "./api.js";
import * as columns from "./columns.js";
import * as copying from "./copying.js";
import { byId } from "./dom.js";
import * as facts from "./facts.js";
import * as form from "./form.js";
import * as hit from "./hit.js";
import * as queries from "./queries.js";
import * as ratings from "./ratings.js";
import * as windows from "./windows.js";

const NO_RATING = "ratings need a key of this service with scope write; enter it under Access";
const NOTHING = { search: null, found: null, ranked: null, measured: undefined, windows: 0 };
let now = NOTHING;
let stopper = null;
let writing = 0;

start();

async function start() {
  form.listen(submit, stop);
  columns.listen({ look, open: hit.open, rate });
  hit.listen();
  ratings.listen(rate);
  copying.listen(() => now.found.copies);
  access.listen(again);
  byId("view-compare").addEventListener("click", () => view("compare", true));
  byId("view-queries").addEventListener("click", () => view("queries", true));
  byId("measure").addEventListener("click", measureAll);
  // Before it is known what can be chosen, nothing can be searched for.
  await prepare();
  addEventListener("popstate", arrive);
  arrive();
}

/** What can be chosen depends on who asks. */
async function prepare() {
  try {
    await form.prepare();
    queries.know(await ratings.judgedQueries());
    complain(null);
  } catch (error) {
    complain(error);
  }
}

/** With another login: what waits for one is shown now. */
async function again() {
  await prepare();
  if (!now.found) arrive();
}

/** Show what the address says. */
function arrive() {
  const { view: name, search } = parsed();
  view(name, false);
  if (!form.ready() || (!search.query && !search.body)) return;
  form.write(search);
  if (name === "compare") run(form.read());
}

async function submit() {
  if (!form.ready()) await prepare();
  if (!form.ready()) return;
  const search = form.read();
  view("compare", false);
  if (address(search) !== location.hash) history.pushState(null, "", address(search));
  run(search);
}

function stop() {
  stopper?.abort();
}

/** One search; true where it came to an end. The one before is given up. */
async function run(search) {
  stop();
  if (!search.index) {
    complain(new Error("there is no index to search; choose or type one"));
    return false;
  }
  const mine = new AbortController();
  stopper = mine;
  complain(null);
  form.busy(true);
  const before = now;
  try {
    for await (const event of lines("search", request(search), mine.signal)) {
      if (stopper !== mine) return false;
      await take(event, search);
    }
    return true;
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
    // Nothing that was found for another search stays under this one's error.
    if (stopper === mine && now === before && error.name !== "AbortError") clear();
    return false;
  } finally {
    if (stopper === mine) {
      form.busy(false);
      windows.end();
      if (now.found && !now.ranked) columns.showNothingMore();
    }
  }
}

function clear() {
  now = NOTHING;
  byId("results").hidden = true;
}

async function take(event, search) {
  if (event.event === "found") {
    now = { ...NOTHING, search, found: event };
    byId("empty").hidden = true;
    byId("results").hidden = false;
    hit.clear();
    facts.showFound(event);
    columns.showBase(event);
    windows.clear(event.hits.length > 0 ? "Asking the ranker" : "");
  } else if (event.event === "loading") {
    windows.clear(`${sentence(event.detail)} The search waits for it`);
  } else if (event.event === "window") {
    if (now.windows++ === 0) windows.clear("Asking the ranker");
    windows.add(event);
  } else if (event.event === "ranked") {
    now.ranked = event;
    columns.showReranked(now.found, event);
    facts.showRanked(now.found, event, undefined);
    await measure();
  } else {
    complain(new Error(event.error));
  }
}

/** Grades, nDCG@10, and a place in the list of queries. */
async function measure() {
  const of = now;
  try {
    const measured = await ratings.measure(of.found, of.ranked.order);
    if (of !== now) return;
    now.measured = measured;
    ratings.forbid(measured === null);
    if (measured) ratings.showGrades(measured.grades);
    facts.showRanked(now.found, now.ranked, measured);
    queries.remember(now.search, now.found, measured);
  } catch (error) {
    complain(error);
  }
}

async function rate(rank, grade) {
  const { found, measured } = now;
  if (!now.ranked) return;
  if (measured === null) return complain(new Error(NO_RATING));
  if (measured) ratings.showGrades(measured.grades.set(rank, grade));
  writing += 1;
  try {
    await ratings.write(found.query, found.hits[rank - 1], grade);
    complain(null);
  } catch (error) {
    complain(error);
  }
  writing -= 1;
  if (writing === 0 && now.found === found) await measure();
}

function look(rank) {
  if (now.found) hit.show(now.found, now.ranked?.order, rank);
}

/** Search for every judged query of the list, one after the other. */
async function measureAll() {
  const button = byId("measure");
  const wanted = queries.unmeasured(byId("profile").value);
  for (const [index, search] of wanted.entries()) {
    button.hidden = false;
    button.textContent = `Measuring ${index + 1} of ${wanted.length}`;
    if (!(await run(search))) break;
  }
  queries.show();
}

function view(name, moved) {
  for (const each of ["compare", "queries"]) {
    byId(each).hidden = each !== name;
    if (each === name) byId(`view-${each}`).setAttribute("aria-current", "page");
    else byId(`view-${each}`).removeAttribute("aria-current");
  }
  byId("search").hidden = name === "queries";
  if (moved) history.pushState(null, "", address(now.search ?? form.read(), name));
  if (name === "queries") queries.show();
}

/** One sentence, or none. A login that is missing can be entered at once. */
function complain(error) {
  const box = byId("message");
  box.hidden = !error;
  box.textContent = error ? sentence(error.message) : "";
  if (error?.status === 401 && !document.querySelector("dialog[open]")) access.ask(box.textContent);
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
