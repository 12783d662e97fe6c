/**
 * Takes the reader to rooms and messages: by a click, by an address, by going back.
 *
 * Event: `turned` with {room, at, title, step} when another conversation or a message in it is looked at; `step` says
 * whether one can go back from there.
 */
export class Visits extends EventTarget {
  #api;
  #texts;
  #conversations;
  #roomList;
  #subscriptions;
  #reading;
  #view;
  /** The place that was asked for last. */
  #wanted = null;

  constructor({ api, texts, conversations, roomList, subscriptions, reading, view }) {
    super();
    this.#api = api;
    this.#texts = texts;
    this.#conversations = conversations;
    this.#roomList = roomList;
    this.#subscriptions = subscriptions;
    this.#reading = reading;
    this.#view = view;
  }

  /** Turn to {room, at}: a room, and a message in it; a room that is not known here is asked for. */
  async visit(place, options = {}) {
    const { room, at = null } = place;
    this.#wanted = place;
    const known = this.#conversations.get(room) ?? (await this.#listed(room));
    if (this.#wanted !== place) return;
    if (known) return this.turnTo(known, { ...options, at });
    try {
      const view = await this.#api.get(["rooms", room]);
      if (this.#wanted === place) this.turnTo(this.#conversations.take(view), { ...options, at });
    } catch (error) {
      if (this.#wanted === place) this.#refuse(place, error);
    }
  }

  /** Turn to a conversation, and to a message in it. */
  turnTo(conversation, { at = null, step = true, focus = true } = {}) {
    const { drawer, side, notice } = this.#view;
    this.#wanted = null;
    if (conversation !== this.#conversations.current) notice.hide();
    this.#reading.open(conversation, at);
    if (conversation.isMember) this.#subscriptions.join(conversation);
    drawer.close({ refocus: false });
    side.makeWay();
    if (focus) this.#focus(at);
    const title = this.#conversations.titleOf(conversation);
    this.dispatchEvent(new CustomEvent("turned", { detail: { room: conversation.name, at, title, step } }));
  }

  /** On a phone the keyboard should not jump up before one wants to write; on a message one lands by itself. */
  #focus(at) {
    if (matchMedia("(pointer: coarse)").matches) this.#view.head.focus();
    else if (!at) this.#view.composer.focus();
  }

  /** A room that the list will tell of, if that is still to come. */
  async #listed(room) {
    if (!this.#conversations.known) await this.#roomList.present();
    return this.#conversations.get(room);
  }

  /** A place could not be shown: say so kindly, in the lobby if one is nowhere yet. */
  #refuse(place, error) {
    const { notice, isShown } = this.#view;
    const unknown = error.status === 404;
    if (!isShown) this.turnTo(this.#conversations.lobby, { step: false });
    const again = { label: this.#texts.get("try_again"), act: () => this.visit(place) };
    notice.show(unknown ? this.#texts.get("no_such_room") : error.message, unknown ? {} : again);
  }
}
