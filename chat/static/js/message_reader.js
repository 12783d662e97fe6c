/** Reads the server's messages, from the wire and from the history, as the one shape that the page works with. */
export class MessageReader {
  #me;
  #texts;
  #mention;

  constructor(me, texts) {
    this.#me = me;
    this.#texts = texts;
    this.#mention = mentionOf(me.username);
  }

  /**
   * A message {id, user, text, ts, seq, own, state, error, mention, private}: state is pending, sent or failed; `user`
   * is null for the house; `seq` is missing where nothing is kept.
   */
  read({ user, data, id, seq, ts, private: isPrivate }) {
    const own = user?.id === this.#me.id;
    return {
      id,
      user: user ? shownPerson(user, this.#texts) : user,
      text: String(data),
      ts: Number.isFinite(ts) ? ts : Date.now(),
      seq,
      own,
      state: "sent",
      private: isPrivate,
      mention: !own && this.#mention.test(data),
    };
  }
}

/** A user as the page calls them: of a deleted account the server tells no name. */
export function shownPerson(user, texts) {
  return user.deleted ? { ...user, username: texts.get("gone_user") } : user;
}

/** Matches @name, not @name2 nor @names; Chinese text may follow at once. */
function mentionOf(username) {
  const name = username.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`[@＠]${name}(?![\\p{Script=Latin}\\p{N}_-])`, "iu");
}
