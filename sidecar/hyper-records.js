// What this node knows about drives, in two SQLite files.
//
// * With the identity: which names of which origins are which drives, and how long our own drives are. A drive whose blocks
//   were deleted here (Reset P2P data) must not be written before a peer gave them back: a second, shorter history under the
//   same key is a fork, and peers refuse a forked drive for ever. For the same reason a purged drive's name gets a new key.
// * With the storage: drives of others that are kept here, for the cache limit, and DNSLink names.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const OWN = `
CREATE TABLE IF NOT EXISTS drives (
  origin TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, key TEXT NOT NULL DEFAULT '',
  version INTEGER NOT NULL DEFAULT 0, blobs INTEGER NOT NULL DEFAULT 0, shared INTEGER NOT NULL DEFAULT 1,
  purged INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (origin, name, generation)
) STRICT;
CREATE INDEX IF NOT EXISTS drives_by_key ON drives (key);`;
const OTHERS = `
CREATE TABLE IF NOT EXISTS cached (
  key TEXT PRIMARY KEY, bytes INTEGER NOT NULL DEFAULT 0, used INTEGER NOT NULL, forked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS dnslinks (name TEXT PRIMARY KEY, key TEXT NOT NULL) STRICT;`;

/** A database whose statements are prepared once. */
class Database {
  #database;
  #statements = new Map();

  constructor(folder, schema, synchronous) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(join(folder, "hyper.sqlite"));
    this.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; ${schema}`);
  }

  exec(sql) {
    this.#database.exec(sql);
  }

  prepare(sql) {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  close() {
    this.#statements.clear();
    this.#database.close();
  }
}

const CACHED_BYTES = "SELECT coalesce(sum(bytes), 0) AS n FROM cached";

/** How many bytes of drives of others are kept in a node's storage, while Hyper is not open. */
export function cachedBytes(storage) {
  const file = join(storage, "hyper/hyper.sqlite");
  if (!existsSync(file)) return 0;
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database.prepare(CACHED_BYTES).get().n;
  } finally {
    database.close();
  }
}

export class HyperRecords {
  #own;
  #others;

  constructor({ identity, storage }) {
    this.#own = new Database(identity, OWN, "FULL");
    // Written with each block that arrives: a power cut may cost the last counts, no kill does.
    this.#others = new Database(storage, OTHERS, "NORMAL");
  }

  /** The drive that a name stands for: {origin, name, generation, key, version, blobs, shared}, or undefined. */
  named(origin, name) {
    const query = "SELECT * FROM drives WHERE origin = ? AND name = ? AND purged = 0 ORDER BY generation DESC LIMIT 1";
    return this.#own.prepare(query).get(origin, name);
  }

  /** A new drive for a name; its generation differs from all earlier ones of that name. */
  reserve(origin, name) {
    const query = "SELECT coalesce(max(generation), 0) + 1 AS next FROM drives WHERE origin = ? AND name = ?";
    const generation = this.#own.prepare(query).get(origin, name).next;
    this.#own.prepare("INSERT INTO drives (origin, name, generation) VALUES (?, ?, ?)").run(origin, name, generation);
    return this.named(origin, name);
  }

  /** Our own drive of a key (hex), purged ones included. */
  own(key) {
    return this.#own.prepare("SELECT * FROM drives WHERE key = ?").get(key);
  }

  shared() {
    return this.#own.prepare("SELECT * FROM drives WHERE shared = 1 AND purged = 0 AND key != ''").all();
  }

  count() {
    return this.#own.prepare("SELECT count(*) AS n FROM drives WHERE purged = 0").get().n;
  }

  setKey({ origin, name, generation }, key) {
    const query = "UPDATE drives SET key = ? WHERE origin = ? AND name = ? AND generation = ?";
    this.#own.prepare(query).run(key, origin, name, generation);
  }

  setLengths(key, version, blobs) {
    this.#own.prepare("UPDATE drives SET version = ?, blobs = ? WHERE key = ?").run(version, blobs, key);
  }

  setShared(key, shared) {
    this.#own.prepare("UPDATE drives SET shared = ? WHERE key = ?").run(shared ? 1 : 0, key);
  }

  setPurged(key) {
    this.#own.prepare("UPDATE drives SET purged = 1, shared = 0 WHERE key = ?").run(key);
  }

  /** A drive of somebody else was used; `bytes` more of it are kept now. */
  touch(key, bytes = 0) {
    this.#others
      .prepare(
        `INSERT INTO cached (key, bytes, used) VALUES (?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET bytes = bytes + excluded.bytes, used = excluded.used`,
      )
      .run(key, bytes, Date.now());
  }

  isForked(key) {
    return this.#others.prepare("SELECT forked FROM cached WHERE key = ?").get(key)?.forked === 1;
  }

  setForked(key) {
    this.#others.exec("PRAGMA synchronous = FULL");
    this.touch(key);
    this.#others.prepare("UPDATE cached SET forked = 1 WHERE key = ?").run(key);
    this.#others.exec("PRAGMA synchronous = NORMAL");
  }

  /** Drives of others with their bytes and when they were used, the longest unused first. */
  cached() {
    return this.#others.prepare("SELECT key, bytes, used FROM cached WHERE bytes > 0 ORDER BY used").all();
  }

  cachedBytes() {
    return this.#others.prepare(CACHED_BYTES).get().n;
  }

  evicted(key) {
    this.#others.prepare("UPDATE cached SET bytes = 0 WHERE key = ?").run(key);
  }

  dnsLink(name) {
    return this.#others.prepare("SELECT key FROM dnslinks WHERE name = ?").get(name)?.key;
  }

  setDnsLink(name, key) {
    this.#others.prepare("INSERT OR REPLACE INTO dnslinks (name, key) VALUES (?, ?)").run(name, key);
  }

  close() {
    this.#own.close();
    this.#others.close();
  }
}
