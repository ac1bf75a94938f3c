// libp2p's and Helia's datastore (peers, DHT records) in the index's SQLite file.
import { BaseDatastore } from "datastore-core";
import { Key } from "interface-datastore";
import { NotFoundError } from "interface-store";

const PAGE = 500;

export class SqliteDatastore extends BaseDatastore {
  #index;

  constructor(index) {
    super();
    this.#index = index;
  }

  async put(key, value) {
    this.#index.run("INSERT OR REPLACE INTO data (key, value) VALUES (?, ?)", key.toString(), value);
    return key;
  }

  async get(key) {
    const row = this.#index.get("SELECT value FROM data WHERE key = ?", key.toString());
    if (row === undefined) throw new NotFoundError(`Nothing is stored under ${key}`);
    return row.value;
  }

  async has(key) {
    return this.#index.get("SELECT 1 FROM data WHERE key = ?", key.toString()) !== undefined;
  }

  async delete(key) {
    this.#index.run("DELETE FROM data WHERE key = ?", key.toString());
  }

  async *_all(query) {
    // In pages, so that the caller may write while it reads.
    const end = `${query.prefix ?? ""}\u{10ffff}`;
    let [last, first] = [query.prefix ?? "", true];
    for (;;) {
      const rows = this.#index.all(
        `SELECT key, value FROM data WHERE key ${first ? ">=" : ">"} ? AND key < ? ORDER BY key LIMIT ${PAGE}`, last, end,
      );
      for (const { key, value } of rows) yield { key: new Key(key, false), value };
      if (rows.length < PAGE) return;
      [last, first] = [rows.at(-1).key, false];
    }
  }

  async *_allKeys(query) {
    for await (const { key } of this._all(query)) yield key;
  }
}
