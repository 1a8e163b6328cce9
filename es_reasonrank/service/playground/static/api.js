// Calls to the service. Whatever goes wrong becomes a Problem: a status, and one sentence.

import { headers } from "./access.js";

const UNREACHABLE = "the service cannot be reached; is it still running?";

export class Problem extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.status = status;
  }
}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return (await call(`${path}${query ? `?${query}` : ""}`, { headers: headers() })).json();
}

/** The answer's JSON; null where there is none. */
export async function post(path, body) {
  const response = await call(path, sending(body));
  return response.status === 204 ? null : response.json();
}

/** Each line of the answer as it comes. */
export async function* lines(path, body, signal) {
  const response = await call(path, { ...sending(body), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await read(reader, signal);
    if (done) break;
    const pieces = (rest + value).split("\n");
    rest = pieces.pop();
    for (const piece of pieces) yield JSON.parse(piece);
  }
}

function sending(body) {
  return {
    method: "POST",
    headers: { ...headers(), "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(`/playground/api/${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHABLE);
  }
  if (!response.ok) throw new Problem(await sentence(response), response.status);
  return response;
}

async function read(reader, signal) {
  try {
    return await reader.read();
  } catch (error) {
    if (signal?.aborted) throw new DOMException("stopped", "AbortError");
    throw new Problem("the answer broke off; is the service still running?");
  }
}

async function sentence(response) {
  try {
    const { error, detail } = await response.json();
    const text = typeof error === "string" ? error : (error?.reason ?? error?.message ?? detail);
    if (typeof text === "string") return text;
  } catch {
    // What is no JSON is no sentence either.
  }
  return `the service answered ${response.status}; its log says more`;
}
