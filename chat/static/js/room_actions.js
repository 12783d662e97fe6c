import { CreateDialog } from "./create_dialog.js";
import { DirectoryDialog } from "./directory_dialog.js";
import { part } from "./dom.js";
import { PersonDialog } from "./person_dialog.js";
import { RoomDialogs } from "./room_dialogs.js";

/**
 * What a user does with rooms and people beside talking: make, find, join and leave rooms, invite, write to somebody.
 *
 * Events: `open` with the conversation to turn to, `left` with one that was left, `changed` when the list of rooms is
 * another, `people` with a conversation whose members are others, `say` with a sentence about what was done.
 */
export class RoomActions extends EventTarget {
  #api;
  #texts;
  #me;
  #conversations;
  #create;
  #directory;
  #person;
  #dialogs;

  constructor(root, { api, texts, me, conversations, mayCreate }) {
    super();
    this.#api = api;
    this.#texts = texts;
    this.#me = me;
    this.#conversations = conversations;
    this.#create = new CreateDialog(root, { api });
    this.#directory = new DirectoryDialog(root, { texts, api, mayCreate });
    this.#person = new PersonDialog(root);
    this.#dialogs = new RoomDialogs(root, { texts });
    this.#create.addEventListener("created", ({ detail: view }) => this.#entered(view));
    this.#directory.addEventListener("create", ({ detail: title }) => this.#create.open(title));
    this.#directory.addEventListener("choose", ({ detail: name }) => this.#chosen(name));
    part(root, "find-rooms").addEventListener("click", () => this.#directory.open());
    part(root, "write-to").addEventListener("click", () => this.writeTo());
    const make = part(root, "make-room");
    make.hidden = !mayCreate;
    make.addEventListener("click", () => this.#create.open());
  }

  /** Join the public room that one looks at. */
  async join({ name }) {
    try {
      await this.#join(name);
    } catch (error) {
      this.#emit("say", error.message);
    }
  }

  /** Enter a room that one is invited to. */
  async accept(invitation) {
    await this.#answer(invitation, async ({ room }) => {
      this.#entered(await this.#api.post(["invitations", room, "accept"]));
    });
  }

  /** Decline an invitation. */
  async decline(invitation) {
    await this.#answer(invitation, async ({ room, title }) => {
      await this.#api.post(["invitations", room, "decline"]);
      this.#emit("say", this.#texts.get("you_declined", { name: title }));
    });
  }

  async #answer(invitation, act) {
    try {
      await act(invitation);
      this.#conversations.invitations = this.#conversations.invitations.filter(({ room }) => room !== invitation.room);
    } catch (error) {
      this.#emit("say", error.message);
    }
    this.#emit("changed");
  }

  /** Find somebody to write to. */
  writeTo() {
    this.#person.open({
      heading: this.#texts.get("write_to_whom"),
      button: this.#texts.get("write"),
      known: this.#met(() => true),
      choose: (person) => this.#begin(person),
    });
  }

  /** Invite people to a room, one after the other. */
  invite(conversation) {
    this.#person.open({
      heading: this.#texts.get("invite_to", { name: this.#conversations.titleOf(conversation) }),
      button: this.#texts.get("invite"),
      known: this.#met((person) => person.id !== this.#me.id && !conversation.roster.has(person)),
      choose: (person) => this.#invite(conversation, person),
    });
  }

  /** Leave a room; where one could not come back by oneself, not without being asked. */
  leave(conversation) {
    const leave = () => this.#leave(conversation);
    if (conversation.kind === "private") this.#dialogs.leave(this.#conversations.titleOf(conversation), leave);
    else leave().catch((error) => this.#emit("say", error.message));
  }

  /** Change what a room is called and about. */
  describe(conversation) {
    this.#dialogs.about(conversation, async (change) => {
      conversation.describe(await this.#api.patch(["rooms", conversation.name], change));
      this.#emit("changed");
    });
  }

  /** Change a member's role, or put them out. */
  manage(conversation, member) {
    this.#dialogs.member(member, conversation.role, async (what) => {
      const path = ["rooms", conversation.name, "members", member.id];
      if (what === "remove") await this.#api.delete(path);
      else await this.#api.patch(path, { role: what });
      this.#emit("people", conversation);
    });
  }

  async #chosen(name) {
    try {
      const known = this.#conversations.get(name);
      if (known?.isMember) this.#emit("open", known);
      else await this.#join(name);
      this.#directory.close();
    } catch (error) {
      this.#directory.say(error.message);
    }
  }

  async #join(name) {
    this.#entered(await this.#api.post(["rooms", name, "join"]));
  }

  #entered(view) {
    const conversation = this.#conversations.take(view);
    this.#emit("changed");
    this.#emit("open", conversation);
  }

  async #begin({ id, username }) {
    const person = id ? { id, username } : await this.#api.get(["users", username]);
    this.#person.close();
    this.#emit("open", this.#conversations.with({ id: person.id, username: person.username }));
  }

  async #invite(conversation, { id, username }) {
    const added = await this.#api.post(["rooms", conversation.name, "members"], { id, username });
    this.#person.done(this.#texts.get("invited", { name: username }), added);
    this.#emit("people", conversation);
  }

  async #leave(conversation) {
    conversation.leaving = true;
    try {
      await this.#api.post(["rooms", conversation.name, "leave"]);
    } finally {
      conversation.leaving = false;
    }
    this.#emit("left", conversation);
    this.#emit("changed");
    this.#emit("say", this.#texts.get("you_left", { name: this.#conversations.titleOf(conversation) }));
  }

  /** People whom the page has met: spoken with, or here. */
  #met(test) {
    const { people, rooms } = this.#conversations;
    const met = [...people.map(({ person }) => person), ...rooms.flatMap(({ roster }) => roster.people)];
    return [...new Map(met.filter(test).map((person) => [person.id, person])).values()];
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
