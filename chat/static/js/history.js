/** Messages asked for at once, and when catching up. */
const PAGE = 50;
const LONG_PAGE = 200;
/** Who missed more than this many pages is shown the newest instead. */
const PAGES_TO_CATCH_UP = 5;

/**
 * Fills the windows of conversations from what the server keeps, a page at a time.
 *
 * What it is at stands in `conversation.loading`: {whole, older, newer}. Events: `change` with {conversation, jumped},
 * jumped where the window is another one now; `skipped` with a conversation of which too much was missed; `begun` with
 * one whose history is another than it was; `gone` with one that is not there, or not for us.
 */
export class History extends EventTarget {
  #api;
  #reader;
  /** What the newest request for the whole window of a conversation is: the answers to others come too late. */
  #newest = new WeakMap();

  constructor({ api, reader }) {
    super();
    this.#api = api;
    this.#reader = reader;
  }

  /** Show the newest messages. */
  toNewest(conversation) {
    return this.#startAnew(conversation, {});
  }

  /** Show the messages around this one. */
  around(conversation, seq) {
    return this.#startAnew(conversation, { around: seq });
  }

  /** Show older messages too. */
  async older(conversation) {
    const { timeline } = conversation;
    if (!timeline.loaded || timeline.atStart || conversation.ephemeral) return;
    await this.#extend(conversation, "older", { before: timeline.low }, (messages, page) =>
      timeline.prepend(messages, { atStart: !page.more_before }),
    );
  }

  /** Show newer messages too. */
  async newer(conversation) {
    const { timeline } = conversation;
    if (!timeline.loaded || timeline.atEnd || conversation.ephemeral) return;
    await this.#extend(conversation, "newer", { after: timeline.high }, (messages, page) =>
      timeline.append(messages, { atEnd: !page.more_after }),
    );
  }

  /** Bring what the window lacks at its end: it was said, and did not come. `keepEnd`: the reader is there. */
  async catchUp(conversation, { keepEnd }) {
    const { timeline } = conversation;
    for (let pages = 0; conversation.hasHole; pages++) {
      if (pages === PAGES_TO_CATCH_UP) return this.skip(conversation);
      const before = timeline.high;
      // The end of the window stays its end: what is said meanwhile is held back until this has come.
      await this.#extend(conversation, "newer", { after: before, limit: LONG_PAGE }, (messages) =>
        timeline.append(messages, { atEnd: true, keepEnd }),
      );
      if (timeline.high === before) return;
    }
  }

  /** Too much was missed to show all of it: who reads further up reads on from there, others are shown the newest. */
  skip(conversation) {
    conversation.timeline.endHere();
    this.#emit("skipped", conversation);
  }

  async #startAnew(conversation, query) {
    const request = Symbol();
    this.#newest.set(conversation, request);
    conversation.loading = { older: null, newer: null, whole: "loading" };
    this.#changed(conversation, { jumped: true });
    const answer = await this.#ask(conversation, { ...query, limit: PAGE });
    if (this.#newest.get(conversation) !== request) return;
    conversation.loading.whole = answer.error ?? null;
    if (answer.page) this.#start(conversation, answer.page, query.around === undefined);
    this.#changed(conversation, { jumped: true });
  }

  #start(conversation, page, atEnd) {
    if (conversation.ephemeral) return conversation.timeline.startEmpty();
    conversation.timeline.start(
      page.messages.map((wire) => this.#reader.read(wire)),
      {
        atStart: !page.more_before,
        atEnd: atEnd || !page.more_after,
        floor: page.last_seq,
      },
    );
  }

  /** Ask for a page at one end of the window, unless that is being done. */
  async #extend(conversation, end, query, take) {
    const { loading } = conversation;
    if (loading[end] === "loading" || loading.whole === "loading") return;
    const request = this.#newest.get(conversation);
    loading[end] = "loading";
    this.#changed(conversation);
    const { page, error } = await this.#ask(conversation, { limit: PAGE, ...query });
    // The window is another one by now, and so is what it is at.
    if (loading !== conversation.loading || request !== this.#newest.get(conversation)) return;
    loading[end] = error ?? null;
    if (page && conversation.timeline.loaded)
      take(
        page.messages.map((wire) => this.#reader.read(wire)),
        page,
      );
    this.#changed(conversation);
  }

  /** {page} or {error}; where the room has begun anew, the window goes and a page of the new history comes. */
  async #ask(conversation, query) {
    try {
      const page = await this.#api.get(["rooms", conversation.name, "messages"], query);
      if (conversation.begin(page.epoch)) this.#emit("begun", conversation);
      conversation.firstSeq = page.first_seq;
      conversation.reaches(page.last_seq);
      return { page };
    } catch (error) {
      if (error.status === 404) this.#emit("gone", conversation);
      return { error: error.message };
    }
  }

  #changed(conversation, { jumped = false } = {}) {
    this.#emit("change", { conversation, jumped });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
