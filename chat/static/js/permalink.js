/**
 * Addresses of rooms and messages: `/chat?room=NAME&at=SEQ`, `/chat?room=NAME`, and `/chat` alone for the lobby.
 *
 * It is the query and not the hash that says where, so that the address survives the way over the log-in page.
 */
export class Permalinks {
  #page;
  #lobby;

  constructor(pagePath, lobby) {
    this.#page = new URL(pagePath, location.href);
    this.#lobby = lobby;
  }

  /** The address of a room, or of the message with this seq in it. */
  to(room, at = null) {
    const address = new URL(this.#page);
    if (room !== this.#lobby || at) address.searchParams.set("room", room);
    if (at) address.searchParams.set("at", at);
    // Colons are as readable as safe in a query.
    address.search = address.search.replaceAll("%3A", ":");
    return address.href;
  }

  /** {room, at} of an address of ours, or null. */
  read(href) {
    const { origin, pathname, searchParams } = new URL(href, location.href);
    if (origin !== this.#page.origin || pathname !== this.#page.pathname) return null;
    const at = searchParams.get("at") ?? "";
    return { room: searchParams.get("room") || this.#lobby, at: /^[1-9]\d{0,14}$/.test(at) ? Number(at) : null };
  }
}
