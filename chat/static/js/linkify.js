import { el } from "./dom.js";

/** http(s) and then what RFC 3986 allows in an address: it ends where Chinese text begins, as its writer meant. */
const ADDRESS = /https?:\/\/[\w\-.~:/?#[\]@!$&'()*+,;=%]+/gi;
/** Writing without spaces between words: an address before it has ended. */
const EAST_ASIAN = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}]/u;
const CLOSERS = { ")": "(", "]": "[" };
const SENTENCE_END = ".,;:!?'*_~";

/** `text` as nodes, its web addresses as links. Only text nodes and `a` elements are ever made. */
export function linkify(text) {
  const fragment = document.createDocumentFragment();
  let done = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = withoutTail(match[0]);
    const url = safeUrl(address, text[match.index + match[0].length]);
    if (!url) continue;
    fragment.append(text.slice(done, match.index), link(url, address));
    done = match.index + address.length;
  }
  fragment.append(text.slice(done));
  return fragment;
}

function link(url, address) {
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", text: address });
}

function safeUrl(address, following) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  // "https://bank.example@evil.example" shows one host and opens another.
  if (url.username || url.password) return null;
  // A host that goes on in another alphabet was cut in the middle: better no link than one to elsewhere.
  const hostOnly = !/^https?:\/\/[^/?#]*[/?#]/i.test(address);
  const goesOn = following && /\p{L}/u.test(following) && !EAST_ASIAN.test(following);
  return hostOnly && goesOn ? null : url;
}

/** The address without the punctuation of the sentence around it: "(see https://a.example/b_(c))." */
function withoutTail(address) {
  const open = { ")": 0, "]": 0 };
  for (const character of address) {
    for (const [closer, opener] of Object.entries(CLOSERS)) {
      if (character === closer) open[closer]--;
      else if (character === opener) open[closer]++;
    }
  }
  let end = address.length;
  for (; end > 0; end--) {
    const last = address[end - 1];
    if (SENTENCE_END.includes(last)) continue;
    if (!(last in CLOSERS) || open[last] >= 0) break;
    open[last]++;
  }
  return address.slice(0, end);
}
