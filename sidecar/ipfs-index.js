// The small facts of the IPFS node in one SQLite file: which blocks are here, what is pinned and for whom, records of
// names, and libp2p's datastore. SQLite is Node's own: a transaction that was acknowledged survives kill -9, and no
// native module has to be installed. Block contents are files (ipfs-blocks.js).
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS blocks (
    hash BLOB PRIMARY KEY, size INTEGER NOT NULL, used INTEGER NOT NULL, mark INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS blocks_by_use ON blocks (used);
  CREATE TABLE IF NOT EXISTS pins (
    cid TEXT NOT NULL, owner TEXT NOT NULL, created INTEGER NOT NULL, announced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (cid, owner)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS records (
    name TEXT PRIMARY KEY, record BLOB NOT NULL, own INTEGER NOT NULL, put INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS domains (domain TEXT PRIMARY KEY, target TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS data (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`;

/** How many bytes that are not pinned are kept in a node's storage, while IPFS is not open. */
export function cachedBytes(storage) {
  const file = join(storage, "ipfs/index.sqlite");
  if (!existsSync(file)) return 0;
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const generation = database.prepare("SELECT value FROM facts WHERE name = 'generation'").get()?.value ?? 0;
    return database.prepare("SELECT TOTAL(size) AS n FROM blocks WHERE mark <> ?").get(generation + 1).n;
  } finally {
    database.close();
  }
}

export class Index {
  #database;
  #statements = new Map();

  constructor(directory) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(join(directory, "index.sqlite"));
    this.#database.exec(SCHEMA);
  }

  /** Run a statement that returns nothing; returns how many rows changed. */
  run(sql, ...values) {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  get(sql, ...values) {
    return this.#prepare(sql).get(...values);
  }

  all(sql, ...values) {
    return this.#prepare(sql).all(...values);
  }

  /** Run `work`, which must not await, as one transaction. */
  transaction(work) {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  fact(name) {
    return this.get("SELECT value FROM facts WHERE name = ?", name)?.value ?? 0;
  }

  setFact(name, value) {
    this.run("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", name, value);
  }

  close() {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql) {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
