/**
 * Make an element: `class`, `text` and `data` are set as such, the rest as attributes; null and false are left out.
 * @param {string} tag
 * @param {{class?: string, text?: string, data?: object, [attribute: string]: any}} properties
 * @param {(Node | string | null | undefined)[]} children
 * @returns {any}
 */
export function el(tag, { class: className, text, data, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (data) Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * The element of `root` that the templates marked with data-part.
 * @param {ParentNode} root
 * @returns {any}
 */
export function part(root, name) {
  const found = root.querySelector(`[data-part="${name}"]`);
  if (!found) throw new Error(`the chat's markup has no part "${name}"`);
  return found;
}
