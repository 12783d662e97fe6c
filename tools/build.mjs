/**
 * Builds the front end into chat/static/dist/: a bundle for each entry, with hashed names, source maps, and a gzip and a
 * Brotli copy of each file. manifest.json maps each entry to its file.
 *
 *     make assets
 *
 * A scene adds its page to ENTRIES. Each entry is bundled separately, so no page loads code that only another page needs.
 * Code that is imported with `import()` becomes a file of its own, which loads on demand.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { build } from "esbuild";

const STATIC = fileURLToPath(new URL("../chat/static", import.meta.url));
const DIST = join(STATIC, "dist");
/** The names that templates pass to `chat_asset`, and the source of each. */
const ENTRIES = {
  "page.js": "js/page.js",
  "widget.js": "js/widget.js",
  "chat.css": "chat.css",
};
/** Files that are copied under a hashed name. */
const COPIES = ["favicon.svg"];
/** The oldest browsers that the output is for; the sources use nothing newer either. */
const BROWSERS = ["chrome111", "firefox115", "safari16.4"];

const ENCODERS = {
  gz: (bytes) => promisify(gzip)(bytes, { level: 9 }),
  br: (bytes) => promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
};

/** Bundle one entry; returns its name with that of its file, and all files as {path, contents}. */
async function bundle([name, source]) {
  const { outputFiles, metafile } = await build({
    entryPoints: [{ in: join(STATIC, source), out: basename(name, extname(name)) }],
    absWorkingDir: STATIC,
    outdir: DIST,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    target: BROWSERS,
    minify: true,
    sourcemap: "linked",
    legalComments: "none",
    metafile: true,
    write: false,
  });
  const [[built]] = Object.entries(metafile.outputs).filter(([, { entryPoint }]) => entryPoint === source);
  return { entry: [name, basename(built)], files: outputFiles };
}

async function copy(name) {
  const contents = await readFile(join(STATIC, name));
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 8).toUpperCase();
  const file = `${basename(name, extname(name))}-${hash}${extname(name)}`;
  return { entry: [name, file], files: [{ path: file, contents }] };
}

/** Write a file and its compressed copies; returns their names. */
async function write({ path, contents }) {
  const name = basename(path);
  await writeFile(join(DIST, name), contents);
  for (const [ending, encode] of Object.entries(ENCODERS)) {
    await writeFile(join(DIST, `${name}.${ending}`), await encode(contents));
  }
  return [name, ...Object.keys(ENCODERS).map((ending) => `${name}.${ending}`)];
}

const built = await Promise.all([...Object.entries(ENTRIES).map(bundle), ...COPIES.map(copy)]);
await mkdir(DIST, { recursive: true });
const written = (await Promise.all(built.flatMap(({ files }) => files.map(write)))).flat();
// A running server always finds a manifest whose files exist.
await writeFile(
  join(DIST, "manifest.new"),
  JSON.stringify(Object.fromEntries(built.map(({ entry }) => entry)), null, 2),
);
await rename(join(DIST, "manifest.new"), join(DIST, "manifest.json"));
const wanted = new Set(["manifest.json", ...written]);
for (const name of await readdir(DIST)) if (!wanted.has(name)) await rm(join(DIST, name));
