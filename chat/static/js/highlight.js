import { el } from "./dom.js";

/** So much of a long message is shown around the first word that was found. */
const BEFORE = 50;
const SHOWN = 180;
const WORDS = /[\p{L}\p{N}\p{M}]+/gu;

/**
 * A message's text as nodes, with what was searched for marked; cut to what stands around the first of it.
 *
 * The server finds without regard to case, width and accents, and so are the marks set; they are an aid to the eye, not
 * a second search.
 */
export function highlight(text, query) {
  const fragment = document.createDocumentFragment();
  const marks = marksIn(text, query);
  const from = marks.length && marks[0][0] > 2 * BEFORE ? marks[0][0] - BEFORE : 0;
  const to = Math.min(text.length, from + SHOWN);
  let done = from;
  if (from > 0) fragment.append("…");
  for (const [start, end] of marks) {
    if (start < done || end > to) continue;
    fragment.append(text.slice(done, start), el("mark", { text: text.slice(start, end) }));
    done = end;
  }
  fragment.append(text.slice(done, to), to < text.length ? "…" : "");
  return fragment;
}

/** [start, end] of each place in `text` at which a word of `query` begins, in order. */
function marksIn(text, query) {
  const { folded, origin } = fold(text);
  const marks = [];
  for (const [word] of fold(query).folded.matchAll(WORDS)) {
    for (let at = folded.indexOf(word); at >= 0; at = folded.indexOf(word, at + word.length)) {
      if (beginsWord(folded, at)) marks.push([origin[at], origin[at + word.length]]);
    }
  }
  return marks.sort((a, b) => a[0] - b[0]);
}

/** Writing without spaces has words anywhere. */
function beginsWord(text, at) {
  const unspaced = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}\p{scx=Thai}]/u;
  return at === 0 || unspaced.test(text[at]) || !/[\p{L}\p{N}]/u.test(text[at - 1]);
}

/** `text` without case, width and accents, and for each unit of it where it came from. */
function fold(text) {
  let folded = "";
  const origin = [];
  let at = 0;
  for (const character of text) {
    const plain = character.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().normalize("NFKC");
    folded += plain;
    for (let i = 0; i < plain.length; i++) origin.push(at);
    at += character.length;
  }
  origin.push(at);
  return { folded, origin };
}
