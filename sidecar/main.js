// The P2P node: a child process of the browser, which is its only client. It keeps the rules of system/children.py:
//
// * standard input: one line of JSON with the configuration, token included; then silence until its end, which ends this
//   process;
// * standard output: one line of JSON, {"ready": true, "port": N} or {"ready": false, "error": "…"};
// * standard error: for people.
//
// Everything else is HTTP on 127.0.0.1 (routes.js). Its one argument is the folder of the native addons.
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import { createNodeServer } from "./routes.js";

// Read by the addons' bindings (build.js), which are loaded with the first protocol.
if (process.argv[2]) process.env.PEERSKY_NATIVES = process.argv[2];

const CLOSE_GRACE_MS = 2500; // the browser kills what runs longer

const log = (text) => process.stderr.write(`${text}\n`);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// A peer can make a library's promise fail; that must not take the node down. It is said, and the request that waited for it
// has its own deadline.
process.on("unhandledRejection", (error) => log(`A promise failed without anybody waiting: ${error?.stack ?? error}`));

async function main() {
  process.umask(0o077);
  const lines = createInterface({ input: process.stdin });
  let node = null;
  let ending = false;
  async function end() {
    if (ending) return;
    ending = true;
    setTimeout(() => process.exit(0), CLOSE_GRACE_MS).unref();
    try {
      await node?.close();
    } catch (error) {
      log(`Closing failed: ${error.stack}`);
    }
    process.exit(0);
  }
  lines.once("close", end);
  process.once("SIGTERM", end);
  const [line] = await once(lines, "line");
  const config = JSON.parse(line);
  try {
    for (const folder of [config.storage, config.identity]) await mkdir(folder, { recursive: true, mode: 0o700 });
    node = await createNodeServer({ config, log });
  } catch (error) {
    say({ ready: false, error: `The P2P node cannot start: ${error.message}` });
    process.exit(1);
  }
  say({ ready: true, port: node.port });
}

await main();
