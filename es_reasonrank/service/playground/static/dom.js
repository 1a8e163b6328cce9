// Elements and numbers.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An element with attributes, `on...` listeners and children; children that are null are left out. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Text that only a screen reader reads. */
export const spoken = (text) => el("span", { class: "spoken" }, text);

export function seconds(value) {
  if (value < 0.001) return "0 ms";
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

export function score(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) < 1000 ? value.toFixed(3) : value.toFixed(0);
}

export function signed(value) {
  const text = Math.abs(value).toFixed(3);
  return value > 0.0005 ? `+${text}` : value < -0.0005 ? `−${text}` : text;
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
