/** The message types of the wire; docs/protocol.md describes each. */
export const MessageType = Object.freeze({
  ERROR: 0,
  GROUP_LIST: 1,
  GROUP_CHAT: 2,
  SINGLE_CHAT: 3,
  ACK: 4,
  ROSTER_DIFF: 5,
  AUTH: 9,
});

export const LOBBY = "lobby";

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

/** A fresh message id. (crypto.randomUUID is missing on plain http.) */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
