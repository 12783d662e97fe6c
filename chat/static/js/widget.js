import { part } from "./dom.js";
import { on } from "./events.js";
import { Kept } from "./kept.js";
import { Scheme } from "./scheme.js";
import { Texts } from "./texts.js";

/**
 * The chat on any page of a site: a button that opens a panel, in a shadow root, where neither the site's style sheet
 * nor the chat's reaches the other. The chat itself is loaded, and connects, when it is first opened, and by itself on the
 * pages after that.
 */
class Widget {
  #shadow;
  #panel;
  #launcher;
  #badge;
  #texts;
  #config;
  #kept = new Kept("sessionStorage", "chat:widget:");
  /** @type {import("./app.js").ChatApp | null} */
  #app = null;
  /** @type {Promise<typeof import("./app.js")> | null} the chat's own module, once it is being loaded */
  #module = null;

  constructor(host) {
    this.#config = JSON.parse(host.querySelector("script").textContent);
    this.#texts = new Texts(this.#config.strings, this.#config.locale);
    new Scheme(host);
    this.#shadow = host.attachShadow({ mode: "open" });
    this.#shadow.append(host.querySelector("template").content.cloneNode(true));
    this.#showWhenStyled();
    this.#panel = part(this.#shadow, "panel");
    this.#launcher = part(this.#shadow, "launcher");
    this.#badge = part(this.#shadow, "launcher-badge");
    this.#launcher.addEventListener("click", () => (this.#panel.hidden ? this.open() : this.close()));
    part(this.#shadow, "close-panel").addEventListener("click", () => this.close());
    this.#panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.#label();
    this.#showUnread(this.#config.unread);
    if (this.#kept.get("open")) this.open({ focus: false });
  }

  open({ focus = true } = {}) {
    this.#panel.hidden = false;
    this.#kept.set("open", true);
    this.#label();
    if (!this.#app) return this.#begin({ focus });
    if (focus) this.#app.focus();
    this.#app.lookedAt();
  }

  close() {
    this.#panel.hidden = true;
    this.#kept.set("open", false);
    this.#label();
    this.#launcher.focus();
  }

  /** A style sheet in a shadow root holds nothing up: without it the panel would flash up bare. */
  #showWhenStyled() {
    const sheet = this.#shadow.querySelector("link");
    const show = () => (part(this.#shadow, "widget").hidden = false);
    sheet.addEventListener("load", show);
    sheet.addEventListener("error", show);
  }

  async #begin({ focus }) {
    this.#module ??= import("./app.js");
    let ChatApp;
    try {
      ({ ChatApp } = await this.#module);
    } catch {
      // The next click loads it again.
      this.#module = null;
      return this.close();
    }
    if (this.#app) return;
    const app = new ChatApp(this.#shadow, this.#config, { isShown: () => !this.#panel.hidden });
    this.#app = app;
    on(app, "unread", (count) => this.#showUnread(count));
    app.start({ focus: focus && !this.#panel.hidden });
  }

  #showUnread(count) {
    this.#badge.hidden = !count;
    this.#badge.textContent = this.#texts.badge(count);
  }

  #label() {
    const open = !this.#panel.hidden;
    this.#launcher.setAttribute("aria-expanded", String(open));
    this.#launcher.setAttribute("aria-label", this.#texts.get(open ? "close_chat" : "open_chat"));
  }
}

for (const host of document.querySelectorAll("[data-chat-widget]")) new Widget(host);
