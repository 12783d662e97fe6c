/**
 * Where common extensions put the proof that a request comes from the site's own page, and the header in which they
 * expect it: a meta element (Flask-WTF) or a cookie (Flask-SeaSurf, Flask-JWT-Extended). Later rows replace earlier ones.
 */
const USUAL = [
  { header: "X-CSRFToken", find: () => metaNamed("csrf-token") },
  { header: "X-CSRFToken", find: () => cookieNamed("_csrf_token") },
  { header: "X-CSRF-TOKEN", find: () => cookieNamed("csrf_access_token") },
];

/**
 * The headers that a site wants on requests of its own pages: the usual ones, and those `given` by the site's hook.
 * Read anew for each request, because cookies change.
 * @param {Record<string, string>} given
 * @returns {Record<string, string>}
 */
export function siteHeaders(given) {
  /** @type {Record<string, string>} */
  const headers = {};
  for (const { header, find } of USUAL) {
    const value = find();
    if (value) headers[header.toLowerCase()] = value;
  }
  for (const [header, value] of Object.entries(given)) headers[header.toLowerCase()] = value;
  return headers;
}

function metaNamed(name) {
  const meta = document.querySelector(`meta[name="${name}"]`);
  return meta instanceof HTMLMetaElement ? meta.content : null;
}

function cookieNamed(name) {
  for (const part of document.cookie.split(";")) {
    const [key, ...value] = part.trim().split("=");
    if (key === name) return value.join("=").replace(/^"(.*)"$/, "$1");
  }
  return null;
}
