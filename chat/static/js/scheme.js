const DARK = "(prefers-color-scheme: dark)";

/**
 * Keeps `data-scheme` of the widget's element at "dark" or "light", as the site's page around it is.
 *
 * The element's own `data-theme` decides, else the page's `color-scheme`, which the element inherits, else its meta
 * element. A page that declares none is light, whatever the reader's system prefers.
 */
export class Scheme {
  #host;

  constructor(host) {
    this.#host = host;
    this.#follow();
    matchMedia(DARK).addEventListener("change", () => this.#follow());
    // Sites switch by an attribute or a class of these.
    const observer = new MutationObserver(() => this.#follow());
    for (const element of [document.documentElement, document.body, host]) {
      observer.observe(element, { attributeFilter: ["data-theme", "data-bs-theme", "class", "style"] });
    }
  }

  #follow() {
    const scheme = this.#isDark() ? "dark" : "light";
    if (this.#host.dataset.scheme !== scheme) this.#host.dataset.scheme = scheme;
  }

  #isDark() {
    const { theme } = this.#host.dataset;
    if (theme === "dark" || theme === "light") return theme === "dark";
    const schemes = declared(this.#host.parentElement ?? document.documentElement);
    if (!schemes.includes("dark")) return false;
    return !schemes.includes("light") || matchMedia(DARK).matches;
  }
}

/** The schemes that the page supports at this element: words of "light", "dark", "only". */
function declared(element) {
  const own = getComputedStyle(element).colorScheme;
  if (own && own !== "normal") return own.split(" ");
  const meta = document.querySelector('meta[name="color-scheme" i]');
  return (meta?.getAttribute("content") ?? "").toLowerCase().split(/\s+/);
}
