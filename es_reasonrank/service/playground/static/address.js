// The search as it stands in the address, behind the #: it can be shared, and no server's log sees it.

const TEXTS = ["index", "query", "body", "profile", "fields"];
const NUMBERS = ["depth", "deadline"];
const SHORT = { query: "q" };

/** What the address says; missing values are empty. */
export function parsed(hash = location.hash) {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  const search = {};
  for (const name of [...TEXTS, ...NUMBERS]) search[name] = found.get(SHORT[name] ?? name) ?? "";
  return { view: found.get("view") === "queries" ? "queries" : "compare", search };
}

export function address(search, view = "compare") {
  const values = new URLSearchParams();
  if (view !== "compare") values.set("view", view);
  for (const name of [...TEXTS, ...NUMBERS]) {
    if (search[name]) values.set(SHORT[name] ?? name, search[name]);
  }
  return `#${values}`;
}

/** The search as the service wants it. */
export function request(search) {
  const wanted = { index: search.index, query: search.query, body: search.body, profile: search.profile };
  wanted.fields = search.fields.split(",").map((name) => name.trim()).filter(Boolean);
  for (const name of NUMBERS) if (search[name] !== "") wanted[name] = Number(search[name]);
  return wanted;
}
