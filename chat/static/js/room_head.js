import { el, part } from "./dom.js";

/** What stands around the log: whose conversation it is, the way to the newest, and the words of an empty one. */
export class RoomHead extends EventTarget {
  #app;
  #title;
  #subtitle;
  #jump;
  #jumpWords;
  #texts;
  #me;

  constructor(root, { texts, me }) {
    super();
    this.#app = part(root, "chat");
    this.#title = part(root, "title");
    this.#subtitle = part(root, "subtitle");
    this.#jump = part(root, "jump");
    this.#jumpWords = part(root, "jump-words");
    this.#texts = texts;
    this.#me = me;
    this.#jump.addEventListener("click", () => this.dispatchEvent(new CustomEvent("jump")));
  }

  render({ conversation, people, isPresent, atNewest }) {
    const { person, unread } = conversation;
    write(this.#title, person?.username ?? this.#texts.get("room"));
    if (person) write(this.#subtitle, this.#texts.get(isPresent(person) ? "present" : "absent"));
    else write(this.#subtitle, people ? this.#texts.count("here", people) : "");
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

  placeholder({ person }) {
    return person ? this.#texts.get("write_to", { name: person.username }) : this.#texts.get("write_room");
  }

  /** The words of a conversation in which nothing was said. */
  emptyState({ person }) {
    const key = !person ? "empty_room" : person.id === this.#me.id ? "empty_self" : "empty_direct";
    const title = this.#texts.get(key, { name: person?.username });
    return [
      el("p", { class: "fc-empty__title", dir: "auto", text: title }),
      el("p", { class: "fc-empty__hint", text: this.#texts.get(`${key}_hint`) }),
    ];
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
