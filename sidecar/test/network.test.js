// Who can be reached, by `listen`: seen in a network of its own that leads nowhere, so that even "everywhere" can be tried.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

// One interface with a private address and multicast, as a local network has.
const NETWORK = `
  ip link set lo up && ip link set lo multicast on && ip address add 10.77.0.1/24 dev lo && ip route add 224.0.0.0/4 dev lo
  exec "$@"`;

test("lan finds its peers by multicast and asks nobody outside; nowhere takes no connections", (t) => {
  const inside = (...command) => spawnSync("unshare", ["--map-root-user", "--net", "sh", "-ec", NETWORK, "sh", ...command], {
    encoding: "utf8",
    timeout: 50_000,
  });
  if (inside("true").status !== 0) {
    t.skip("only Linux has networks of one's own, and not for everybody");
    return;
  }
  const { stdout, stderr } = inside(process.execPath, new URL("network-inside.js", import.meta.url).pathname);
  assert.match(stdout, /^\{.*\}\n$/, stderr);
  const seen = JSON.parse(stdout);
  assert.deepEqual([seen.hyper, seen.ipfs], ["over the local network", "over IPFS"]);
  assert.equal(seen.lanOutward, 0);
  assert.ok(seen.everywhereOutward > 0, "what wants to leave is seen");
  assert.equal(seen.nowhereRuns, true);
  assert.deepEqual(seen.nowhereAddresses, []);
  assert.deepEqual(seen.nowhereListens, ["0100007F"], "nothing but the browser's own way in");
  assert.ok(seen.everywhereListens > 1);
});
