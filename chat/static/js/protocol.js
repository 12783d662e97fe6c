/** The message types of the wire; docs/protocol.md describes each. */
export const MessageType = Object.freeze({
  ERROR: 0,
  GROUP_LIST: 1,
  GROUP_CHAT: 2,
  SINGLE_CHAT: 3,
  ACK: 4,
  ROSTER_DIFF: 5,
  JOIN: 6,
  LEAVE: 7,
  SYNCED: 8,
  AUTH: 9,
  READ: 10,
  ROOMS: 11,
  INVITATION: 12,
});

export const LOBBY = "lobby";

/** The room of two users: what its name begins with, then both ids in order. */
const DIRECT = "dm:";

export function isDirect(room) {
  return room.startsWith(DIRECT);
}

export function directRoom(id, other) {
  return DIRECT + [id, other].map(escaped).sort(byCodePoints).join(":");
}

/** The other id in "dm:<a>:<b>", or null where `id` is neither. */
export function otherEnd(room, id) {
  const [one, other] = room.slice(DIRECT.length).split(":").map(unescaped);
  if (one === id) return other;
  return other === id ? one : null;
}

/** A site's own ids may hold what parts a conversation's name, or an address that it stands in. */
function escaped(id) {
  return id.replace(/[%:/]/g, encodeURIComponent);
}

function unescaped(part) {
  return part.replace(/%(25|3A|2F)/g, decodeURIComponent);
}

/** The server's order of texts; that of UTF-16 units is another for what lies beyond U+FFFF. */
function byCodePoints(one, other) {
  const [a, b] = [[...one], [...other]];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i].codePointAt(0) - b[i].codePointAt(0);
  }
  return a.length - b.length;
}

/** Characters as the server counts them: Unicode code points, not UTF-16 units. */
export function countCharacters(text) {
  let pairs = 0;
  for (let i = 0; i < text.length - 1; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next <= 0xdfff) {
        pairs++;
        i++;
      }
    }
  }
  return text.length - pairs;
}

/** The text as it can be sent: no control characters, which the server refuses, and no blank edges. */
export function sendable(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
    .replace(/^(?:[^\S\n]*\n)+/, "")
    .trimEnd();
}

/**
 * A fresh message id: the time, then chance. Ids that grow cost the server's index a third of what random ones do.
 * (crypto.randomUUID is missing on plain http.)
 */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  const chance = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  return Date.now().toString(16).padStart(12, "0") + chance.join("");
}
