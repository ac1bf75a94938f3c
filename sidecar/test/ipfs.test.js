// The table of ipfs: and ipns: with Helia on both sides.
import { after, before } from "node:test";

import { startPair } from "./ipfs-helpers.js";
import { ipfsTable } from "./ipfs-table.js";

let pair;
before(async () => {
  pair = await startPair();
});
after(async () => {
  await Promise.all([pair.a.dispose(), pair.b.dispose()]);
});
ipfsTable("Helia", () => pair);
