/** More than this many messages in a window are too many to be read out one by one. */
const WINDOW = 3_000;
const READABLE = 6;
const SUMMARY_EVERY = 8_000;

/** Lets a screen reader read new messages out; when they come too fast, it only says how many. */
export class LiveRegion {
  #log;
  #announcer;
  #texts;
  #recent = [];
  #unsaid = 0;
  #calm = 0;
  #summary = 0;

  constructor(log, announcer, texts) {
    this.#log = log;
    this.#announcer = announcer;
    this.#texts = texts;
  }

  /** Say nothing for a moment: what comes now is not new. */
  pause() {
    this.#recent = [];
    this.#quiet();
  }

  /** Say one thing. */
  say(words) {
    this.#announcer.textContent = words;
  }

  /** So many messages were added. */
  count(added) {
    if (!added) return;
    const now = Date.now();
    this.#recent = this.#recent.filter(({ at }) => now - at < WINDOW);
    this.#recent.push({ at: now, added });
    const rate = this.#recent.reduce((sum, { added: n }) => sum + n, 0);
    if (rate <= READABLE && this.#log.ariaLive !== "off") return;
    this.#unsaid += added;
    this.#quiet();
    this.#summary ||= setTimeout(() => this.#sum(), SUMMARY_EVERY);
  }

  #quiet() {
    this.#log.setAttribute("aria-live", "off");
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => this.#log.setAttribute("aria-live", "polite"), WINDOW);
  }

  #sum() {
    this.#summary = 0;
    this.say(this.#texts.count("jump", this.#unsaid));
    this.#unsaid = 0;
  }
}
