import { el } from "./dom.js";

const HUES = 8;

/** A round mark for somebody: the first letter of the name, in a colour that stays theirs. */
export function avatar(username, { small = false } = {}) {
  const size = small ? " fc-avatar--small" : "";
  const mark = el("span", { class: `fc-avatar fc-avatar--${hueOf(username)}${size}`, "aria-hidden": "true" });
  mark.textContent = initialOf(username);
  return mark;
}

function initialOf(username) {
  if (!Intl.Segmenter) return [...username][0].toLocaleUpperCase();
  const [first] = new Intl.Segmenter().segment(username);
  return (first?.segment ?? "?").toLocaleUpperCase();
}

function hueOf(username) {
  let hash = 0x811c9dc5;
  for (const character of username) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % HUES;
}
