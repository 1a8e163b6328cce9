// Logins, which stay in this module's memory: they are written to no storage, no address and no copied request.

import { byId } from "./dom.js";

let held = { kind: "", user: "", password: "", apiKey: "", service: "" };
let changed = () => {};

/** The headers of a call. */
export function headers() {
  const found = {};
  if (held.kind === "basic") found.Authorization = `Basic ${base64(`${held.user}:${held.password}`)}`;
  if (held.kind === "key") found.Authorization = `ApiKey ${held.apiKey}`;
  if (held.service) found["X-Api-Key"] = held.service;
  return found;
}

/** Open the dialog; `why` says what a login is needed for, where it was not asked for. */
export function ask(why = "") {
  fill();
  byId("access-why").textContent = why;
  byId("access-why").hidden = !why;
  byId("access").showModal();
}

export function listen(onChange) {
  changed = onChange;
  byId("access-open").addEventListener("click", () => ask());
  byId("access-kind").addEventListener("change", show);
  byId("access-cancel").addEventListener("click", () => byId("access").close());
  byId("access-form").addEventListener("submit", take);
}

function take() {
  held = {
    kind: byId("access-kind").value,
    user: byId("access-user").value,
    password: byId("access-password").value,
    apiKey: byId("access-api-key").value.trim(),
    service: byId("access-service").value.trim(),
  };
  byId("access-open").textContent = held.kind || held.service ? "Access ✓" : "Access";
  changed();
}

function fill() {
  byId("access-kind").value = held.kind;
  byId("access-user").value = held.user;
  byId("access-password").value = held.password;
  byId("access-api-key").value = held.apiKey;
  byId("access-service").value = held.service;
  show();
}

function show() {
  for (const field of document.querySelectorAll("#access [data-kind]")) {
    field.hidden = field.dataset.kind !== byId("access-kind").value;
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
