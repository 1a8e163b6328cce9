// The controls of a search.

import { get } from "./api.js";
import { byId, el } from "./dom.js";

const OTHER = "\u0000other";
let setup = null;

export async function prepare() {
  setup = await get("setup");
  const before = { index: byId("index").value, profile: byId("profile").value };
  byId("index").replaceChildren(
    ...setup.indices.map((name) => el("option", { value: name }, name)),
    el("option", { value: OTHER }, "Other name or pattern"),
  );
  byId("profile").replaceChildren(...setup.profiles.map((each) => el("option", { value: each.name }, each.name)));
  for (const [id, value] of Object.entries(before)) {
    if ([...byId(id).options].some((option) => option.value === value)) byId(id).value = value;
  }
  byId("deadline").placeholder = `${setup.deadline}`;
  byId("depth").max = `${setup.max_documents}`;
  chosen();
}

/** Whether it is known what can be chosen. */
export const ready = () => setup !== null;

export function listen(run, stop) {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  byId("stop").addEventListener("click", stop);
  byId("index").addEventListener("change", chosen);
  byId("index-name").addEventListener("change", chosen);
  byId("profile").addEventListener("change", described);
  byId("options-toggle").addEventListener("click", () => showOptions(!byId("options").classList.contains("open")));
  byId("body-toggle").addEventListener("click", () => showBody(byId("body-field").hidden));
  byId("query").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    run();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    run();
  });
}

/** The search as it stands in the controls. */
export function read() {
  return {
    index: index(),
    query: byId("query").value.trim(),
    body: byId("body-field").hidden ? "" : byId("body").value.trim(),
    profile: byId("profile").value,
    fields: byId("fields").value.trim(),
    depth: byId("depth").value,
    deadline: byId("deadline").value,
  };
}

export function write(search) {
  if (search.index) {
    const listed = setup?.indices.includes(search.index);
    byId("index").value = listed ? search.index : OTHER;
    byId("index-name").value = listed ? "" : search.index;
  }
  if (setup?.profiles.some((each) => each.name === search.profile)) byId("profile").value = search.profile;
  for (const name of ["query", "body", "fields", "depth", "deadline"]) byId(name).value = search[name];
  showBody(Boolean(search.body));
  showOptions(Boolean(search.body || search.fields || search.depth || search.deadline));
  chosen();
}

export function busy(running) {
  byId("run").hidden = running;
  byId("stop").hidden = !running;
}

function index() {
  return byId("index").value === OTHER ? byId("index-name").value.trim() : byId("index").value;
}

/** On a phone, where options hide until they are wanted. */
function showOptions(shown) {
  byId("options").classList.toggle("open", shown);
  byId("options-toggle").setAttribute("aria-expanded", `${shown}`);
}

function showBody(shown) {
  byId("body-field").hidden = !shown;
  byId("body-toggle").setAttribute("aria-expanded", `${shown}`);
}

function chosen() {
  document.querySelector(".index-name").hidden = byId("index").value !== OTHER;
  described();
  hint();
}

function described() {
  const profile = setup?.profiles.find((each) => each.name === byId("profile").value);
  byId("profile-summary").textContent = profile?.summary ?? "";
  byId("depth").placeholder = profile ? `${profile.depth}` : "";
}

/** Which text fields there are; a hint only, so that whatever goes wrong is told when the search is made. */
async function hint() {
  const name = index();
  byId("fields").placeholder = setup?.fields.join(", ") ?? "";
  byId("fields-hint").textContent = "";
  if (!name) return;
  let found;
  try {
    found = await get("fields", { index: name });
  } catch {
    return;
  }
  if (name !== index()) return;
  if (!setup.fields.length) byId("fields").placeholder = found.default.join(", ");
  byId("fields-hint").textContent = found.names.length ? `Text fields: ${found.names.sort().join(", ")}` : "";
}
