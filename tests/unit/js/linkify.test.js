import assert from "node:assert/strict";
import { test } from "node:test";
import { linkify } from "../../../chat/static/js/linkify.js";
import { page } from "./page.js";

/** As much of an element as linkify makes: its attributes, and what was put into it. */
class FakeNode {
  parts = [];
  attributes = {};

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  append(...parts) {
    this.parts.push(...parts.filter((part) => part !== ""));
  }
}

Object.assign(page, { createElement: () => new FakeNode(), createDocumentFragment: () => new FakeNode() });

/** The text with each link as [shown], and (href) where that is another. */
function linked(text) {
  const told = ({ textContent, attributes: { href } }) =>
    href === textContent ? `[${href}]` : `[${textContent}](${href})`;
  return linkify(text)
    .parts.map((part) => (typeof part === "string" ? part : told(part)))
    .join("");
}

for (const [text, wanted] of [
  ["see https://a.example/b.", "see [https://a.example/b]."],
  ["(https://a.example/b_(c))", "([https://a.example/b_(c)])"],
  ["https://a.example/x?y=1&z=2#w, and", "[https://a.example/x?y=1&z=2#w], and"],
  ["看https://a.example/b。好", "看[https://a.example/b]。好"],
  ["https://a.example/路", "[https://a.example/]路"],
  ["HTTP://A.example", "[HTTP://A.example](http://a.example/)"],
]) {
  test(`an address ends before punctuation and foreign text: ${text}`, () => assert.equal(linked(text), wanted));
}

for (const text of [
  "javascript:alert(1)",
  "https://bank.example@evil.example/",
  "https://exаmple.org",
  "https://",
  "www.a.example",
  "<a href=x>",
]) {
  test(`not a link: ${text}`, () => assert.equal(linked(text), text));
}

test("links carry no referrer and no opener", () => {
  const [{ attributes }] = linkify("https://a.example/").parts;
  assert.deepEqual([attributes.target, attributes.rel], ["_blank", "noopener noreferrer nofollow"]);
});
