// Bundles the sidecar: `node build.js FOLDER`. tools/bundle_sidecar.py runs it.
//
// What comes out: main.mjs and, below chunks/, our code apart from the libraries, so that a change of ours does not rewrite
// megabytes; libraries/*.mjs, through which tests use those libraries without our code; LICENSES.txt; natives/, from which
// the addons are installed. Addons stay outside: their bindings load NAME.node from the folder that PEERSKY_NATIVES names.
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const HERE = import.meta.dirname;
const OWN_IMPORT = /^import\s+(?:(?<all>\*\s+as\s+\w+|\w+)|\{(?<names>[^}]*)\})\s+from\s+"(?<from>[^".][^"]*)";/gm;

const { dependencies: addons } = JSON.parse(await readFile(join(HERE, "natives/package.json"), "utf-8"));

const natives = {
  name: "natives",
  setup(build) {
    const bindings = new RegExp(`node_modules/(${Object.keys(addons).join("|")})/binding\\.js$`);
    build.onLoad({ filter: bindings }, ({ path }) => ({
      contents: `module.exports = require(require("node:path").join(process.env.PEERSKY_NATIVES, "${bindings.exec(path)[1]}.node"));`,
    }));
  },
};

/** What is never reached here: hyper-sdk's `fetch` for another runtime, and Hyperdrive's mirroring with its addon. */
const unused = {
  name: "unused",
  setup(build) {
    build.onResolve({ filter: /^(?:bare-fetch|mirror-drive)$/ }, ({ path }) => ({ path, namespace: "unused" }));
    build.onLoad({ filter: /.*/, namespace: "unused" }, ({ path }) => ({
      contents: `module.exports = function unused() { throw new Error("${path} is not part of this program."); };`,
    }));
  },
};

/** A library that reads its own package.json when it is loaded: the bundle has it inside. */
const ownPackage = {
  name: "own-package",
  setup(build) {
    build.onLoad({ filter: /@achingbrain\/ssdp\/dist\/src\/ssdp\.js$/ }, async ({ path }) => {
      const { name, version } = JSON.parse(await readFile(join(path, "../../../package.json"), "utf-8"));
      const code = await readFile(path, "utf-8");
      return { contents: code.replace("req('../../package.json')", JSON.stringify({ name, version })) };
    });
  },
};

/** An entry that imports what our files import from packages. esbuild puts what entries share into chunks of its own. */
const shared = {
  name: "shared",
  setup(build) {
    build.onResolve({ filter: /^shared-libraries$/ }, ({ path }) => ({ path, namespace: "shared" }));
    build.onLoad({ filter: /.*/, namespace: "shared" }, async () => {
      const lines = [];
      for (const file of await readdir(HERE)) {
        if (!file.endsWith(".js") || file === "build.js") continue;
        for (const { groups } of (await readFile(join(HERE, file), "utf-8")).matchAll(OWN_IMPORT)) {
          if (groups.from.startsWith("node:")) continue;
          const names = groups.all ? [groups.all.startsWith("*") ? "*" : "default"] : groups.names.split(",");
          for (const name of names.map((text) => text.trim().split(/\s/)[0]).filter(Boolean)) {
            const what = name === "*" ? `* as shared${lines.length}` : `{ ${name} as shared${lines.length} }`;
            lines.push(`export ${what} from "${groups.from}";`);
          }
        }
      }
      return { contents: lines.join("\n"), resolveDir: HERE };
    });
  },
};

const folder = process.argv[2];
await rm(folder, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: {
    main: "main.js",
    shared: "shared-libraries",
    "libraries/hyper": "libraries/hyper.js",
    "libraries/ipfs": "libraries/ipfs.js",
  },
  outdir: folder,
  outExtension: { ".js": ".mjs" },
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  minify: true,
  keepNames: true,
  legalComments: "none",
  metafile: true,
  banner: { js: 'import{createRequire as nodeRequire}from"node:module";const require=nodeRequire(import.meta.url);' },
  plugins: [natives, unused, ownPackage, shared],
});
await rm(join(folder, "shared.mjs"));
const used = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0));
await writeFile(join(folder, "LICENSES.txt"), await licences(used));
await mkdir(join(folder, "natives"));
for (const name of ["package.json", "package-lock.json"]) await cp(join(HERE, "natives", name), join(folder, "natives", name));
if (process.argv[3]) await writeFile(process.argv[3], JSON.stringify(metafile));

/** Name, version, licence and licence text of every package that a file was taken from, and of the addons' packages. */
async function licences(inputs) {
  const packages = new Set(Object.keys(addons).map((name) => `node_modules/${name}`));
  for (const input of inputs) {
    const match = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input);
    if (match) packages.add(match[0]);
  }
  const found = new Map();
  for (const path of [...packages].sort()) {
    const { name, version, license, author } = JSON.parse(await readFile(join(HERE, path, "package.json"), "utf-8"));
    const texts = (await readdir(join(HERE, path))).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file)).sort();
    const parts = [];
    for (const file of texts) parts.push((await readFile(join(HERE, path, file), "utf-8")).trim());
    const by = typeof author === "object" ? author.name : author;
    const head = `${name} ${version}: ${license?.type ?? license ?? "see its text"}${by ? `, by ${by}` : ""}`;
    found.set(`${name} ${version}`, { head, text: parts.join("\n\n") });
  }
  // Many packages share one text to the letter; it is printed once.
  const byText = new Map();
  for (const { head, text } of found.values()) byText.set(text, [...(byText.get(text) ?? []), head]);
  const rule = "=".repeat(80);
  return [...byText].map(([text, heads]) => `${rule}\n${heads.join("\n")}\n${text ? `\n${text}\n` : ""}`).join("\n");
}
