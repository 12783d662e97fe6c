import { el } from "./dom.js";

/** Copy a text; true if it worked. Pages on plain http have no clipboard but the old one. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyTheOldWay(text);
  }
}

function copyTheOldWay(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const box = el("textarea", { "aria-hidden": "true", readonly: "" });
  Object.assign(box.style, { position: "fixed", opacity: "0" });
  box.value = text;
  document.body.append(box);
  box.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    box.remove();
    focused?.focus({ preventScroll: true });
  }
}
