/**
 * Call `handler` with the detail of each event of that type.
 * @param {EventTarget} source
 * @param {string} type
 * @param {(detail: any) => void} handler
 */
export function on(source, type, handler) {
  source.addEventListener(type, (event) => handler(/** @type {CustomEvent} */ (event).detail));
}
