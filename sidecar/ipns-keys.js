// The node's own keys, as files that only the user can read: the peer's key, and one per name that a page or the user made.
// They lie apart from the storage, so that a reset of the data need not lose the names.
import { createHash } from "node:crypto";
import { mkdir, open, readFile, readdir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";

import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from "@libp2p/crypto/keys";
import { base36 } from "multiformats/bases/base36";

/** @typedef {{origin: string, label: string, name: string, privateKey: object}} NamedKey `name` is the key in base36. */

export class Keys {
  #folder;
  #byName = new Map();
  #made = Promise.resolve();

  constructor(identity) {
    this.#folder = join(identity, "ipns");
    this.peerFile = join(identity, "ipfs-peer.key");
  }

  /** Read all keys. */
  async open() {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const file of await readdir(this.#folder)) {
      if (!file.endsWith(".json")) continue;
      const { origin, label, key } = JSON.parse(await readFile(join(this.#folder, file), "utf8"));
      this.#remember(origin, label, privateKeyFromProtobuf(Buffer.from(key, "base64")));
    }
  }

  /** The peer's key; made at the first call. */
  async peerKey() {
    try {
      return privateKeyFromProtobuf(await readFile(this.peerFile));
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
    const key = await generateKeyPair("Ed25519");
    await writePrivate(this.peerFile, privateKeyToProtobuf(key));
    return key;
  }

  /** The key that `origin` calls `label`, or undefined. */
  find(origin, label) {
    return [...this.#byName.values()].find((key) => key.origin === origin && key.label === label);
  }

  /** The key of this base36 name, or undefined. */
  get(name) {
    return this.#byName.get(name);
  }

  all() {
    return [...this.#byName.values()];
  }

  /** The key that `origin` calls `label`: the one that is there, or a new one. Two calls at a time make one key. */
  make(origin, label) {
    const made = this.#made.then(async () => {
      const there = this.find(origin, label);
      if (there !== undefined) return there;
      const key = await generateKeyPair("Ed25519");
      const text = JSON.stringify({ origin, label, key: Buffer.from(privateKeyToProtobuf(key)).toString("base64") });
      await writePrivate(this.#file(origin, label), text);
      return this.#remember(origin, label, key);
    });
    this.#made = made.catch(() => {});
    return made;
  }

  async remove({ origin, label, name }) {
    await unlink(this.#file(origin, label));
    this.#byName.delete(name);
  }

  #remember(origin, label, privateKey) {
    const key = { origin, label, name: privateKey.publicKey.toCID().toString(base36), privateKey };
    this.#byName.set(key.name, key);
    return key;
  }

  #file(origin, label) {
    return join(this.#folder, `${createHash("sha256").update(JSON.stringify([origin, label])).digest("hex")}.json`);
  }
}

/** Write a file of mode 0600 that is whole or not there, and on the disk. */
async function writePrivate(file, data) {
  const handle = await open(`${file}.new`, "w", 0o600);
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
