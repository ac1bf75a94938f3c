// What network.test.js runs in a network of its own (a namespace without a way out): real nodes, and what they do there,
// as JSON on standard output. Not a test by itself.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

import { Node, textOf } from "./helpers.js";
import { formOf } from "./ipfs-helpers.js";

const PROTOCOLS = { protocols: ["hyper", "ipfs"] };
const LISTEN = "0A";

/** How many packets had no way out so far: somebody wanted to leave the local network. */
function outward() {
  const [names, values] = readFileSync("/proc/net/snmp", "utf8").split("\n").filter((line) => line.startsWith("Ip: "));
  return Number(values.split(" ")[names.split(" ").indexOf("OutNoRoutes")]);
}

/** The TCP sockets of this network that take connections: "address:port" in hexadecimal. */
function listening() {
  const rows = ["tcp", "tcp6"].flatMap((kind) => readFileSync(`/proc/net/${kind}`, "utf8").trim().split("\n").slice(1));
  return rows.map((row) => row.trim().split(/\s+/)).filter((row) => row[3] === LISTEN).map((row) => row[1]);
}

const result = {};

const writer = await Node.start({ listen: "lan" });
const reader = await Node.start({ listen: "lan", lookupSeconds: 15 });
const drive = (await textOf(writer.fetch("hyper://localhost/?key=lan", { method: "POST" }))).text;
await textOf(writer.fetch(`${drive}a.txt`, { method: "PUT", body: "over the local network" }));
const folder = (await textOf(writer.fetch("ipfs://bafyaabakaieac/", { method: "PUT", body: formOf({ "a.txt": "over IPFS" }) }))).text;
result.hyper = (await textOf(reader.fetch(`${drive}a.txt`))).text;
result.ipfs = (await textOf(reader.fetch(`${folder}a.txt`))).text;
result.lanOutward = outward();
await Promise.all([writer.dispose(), reader.dispose()]);

const nowhere = await Node.start({ listen: "nowhere" });
const { hyper, ipfs } = await nowhere.admin("start", PROTOCOLS);
result.nowhereRuns = hyper.running && ipfs.running;
result.nowhereAddresses = ipfs.addresses;
result.nowhereListens = listening().map((socket) => socket.split(":")[0]);
await nowhere.dispose();

const everywhere = await Node.start({ listen: "everywhere" });
await everywhere.admin("start", PROTOCOLS);
result.everywhereListens = listening().length;
while (outward() === result.lanOutward) await delay(50);
result.everywhereOutward = outward();
await everywhere.dispose();

process.stdout.write(`${JSON.stringify(result)}\n`);
