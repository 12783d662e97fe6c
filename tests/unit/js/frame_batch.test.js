import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { FrameBatch } from "../../../chat/static/js/frame_batch.js";
import { openPage, page, pass } from "./page.js";

let now;
let frames;
let batches;
let batch;

beforeEach(() => {
  openPage();
  mock.restoreAll();
  [now, frames, batches] = [1_000, new Map(), []];
  mock.method(performance, "now", () => now);
  globalThis.requestAnimationFrame = (callback) => frames.set(frames.size + 1, callback) && frames.size;
  globalThis.cancelAnimationFrame = (id) => frames.delete(id);
  batch = new FrameBatch((things) => batches.push(things));
});

/** The browser paints a frame. */
function paint() {
  for (const callback of [...frames.values()]) callback();
}

async function wait(milliseconds) {
  now += milliseconds;
  await pass(milliseconds);
}

test("what arrives before a frame is handed over together, in order", () => {
  for (const thing of [1, 2, 3]) batch.push(thing);
  assert.deepEqual(batches, []);
  paint();
  assert.deepEqual(batches, [[1, 2, 3]]);
});

test("after a batch the next one waits, and the one after a pause does not", async () => {
  batch.push(1);
  paint();
  batch.push(2);
  await wait(60);
  batch.push(3);
  paint();
  assert.deepEqual(batches, [[1]]);
  await wait(30);
  paint();
  assert.deepEqual(batches, [[1], [2, 3]]);
  await wait(1_000);
  batch.push(4);
  paint();
  assert.deepEqual(batches, [[1], [2, 3], [4]]);
});

test("a page that is hidden or not painted gets its batch by a timer, once", async () => {
  batch.push(1);
  await wait(250);
  paint();
  page.hidden = true;
  batch.push(2);
  await wait(80);
  await wait(250);
  assert.deepEqual(batches, [[1], [2]]);
});

test("what waits when the page is hidden or shown again is handed over at once", () => {
  batch.push(1);
  page.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual(batches, [[1]]);
});
