import { el, part } from "./dom.js";

/** What stands around the log: whose conversation it is, the way to the newest, and the words of an empty one. */
export class RoomHead extends EventTarget {
  #app;
  #title;
  #here;
  #topic;
  #jump;
  #jumpWords;
  #texts;
  #me;

  constructor(root, { texts, me }) {
    super();
    this.#app = part(root, "chat");
    this.#title = part(root, "title");
    this.#here = part(root, "here");
    this.#topic = part(root, "topic");
    this.#jump = part(root, "jump");
    this.#jumpWords = part(root, "jump-words");
    this.#texts = texts;
    this.#me = me;
    this.#jump.addEventListener("click", () => this.dispatchEvent(new CustomEvent("jump")));
  }

  render({ conversation, title, isPresent, atNewest }) {
    const { person, unread, roster, topic } = conversation;
    write(this.#title, title);
    if (person?.deleted) write(this.#here, "");
    else if (person) write(this.#here, this.#texts.get(isPresent(person) ? "present" : "absent"));
    else write(this.#here, roster.size ? this.#texts.count("here", roster.size) : "");
    write(this.#topic, topic ?? "");
    this.#topic.title = topic ?? "";
    this.#jump.hidden = atNewest;
    write(this.#jumpWords, unread ? this.#texts.count("jump", unread) : this.#texts.get("jump"));
  }

  /** Let the whole chat look as the connection is: who was here is not known while it is down. */
  showConnection(name) {
    this.#app.dataset.connection = name;
  }

  focus() {
    this.#title.focus({ preventScroll: true });
  }

  placeholder({ person }, title, isLobby) {
    if (isLobby) return this.#texts.get("write_room");
    return this.#texts.get(person ? "write_to" : "write_in", { name: title });
  }

  /** The words of a conversation in which nothing was said. */
  emptyState({ person, topic, kind, ephemeral }, title) {
    const key = !person ? "empty_room" : person.id === this.#me.id ? "empty_self" : "empty_direct";
    const hint = person ? `${key}_hint` : ephemeral ? "nothing_kept" : `empty_${kind}_hint`;
    return [
      el("p", { class: "fc-empty__title", dir: "auto", text: this.#texts.get(key, { name: title }) }),
      topic ? el("p", { class: "fc-empty__hint", dir: "auto", text: topic }) : "",
      el("p", { class: "fc-empty__hint", text: this.#texts.get(hint) }),
    ];
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
