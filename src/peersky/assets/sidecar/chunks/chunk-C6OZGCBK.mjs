import{createRequire as nodeRequire}from"node:module";const require=nodeRequire(import.meta.url);
import{a as t}from"./chunk-PGCZT62D.mjs";import{existsSync as L,mkdirSync as N}from"node:fs";import{join as s}from"node:path";import{DatabaseSync as n}from"node:sqlite";var R=`
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
`;function i(E){let e=s(E,"ipfs/index.sqlite");if(!L(e))return 0;let T=new n(e,{readOnly:!0});try{let a=T.prepare("SELECT value FROM facts WHERE name = 'generation'").get()?.value??0;return T.prepare("SELECT TOTAL(size) AS n FROM blocks WHERE mark <> ?").get(a+1).n}finally{T.close()}}t(i,"cachedBytes");var r=class{static{t(this,"Index")}#e;#T=new Map;constructor(e){N(e,{recursive:!0,mode:448}),this.#e=new n(s(e,"index.sqlite")),this.#e.exec(R)}run(e,...T){return Number(this.#t(e).run(...T).changes)}get(e,...T){return this.#t(e).get(...T)}all(e,...T){return this.#t(e).all(...T)}transaction(e){this.#e.exec("BEGIN IMMEDIATE");try{let T=e();return this.#e.exec("COMMIT"),T}catch(T){throw this.#e.exec("ROLLBACK"),T}}fact(e){return this.get("SELECT value FROM facts WHERE name = ?",e)?.value??0}setFact(e,T){this.run("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)",e,T)}close(){this.#T.clear(),this.#e.close()}#t(e){let T=this.#T.get(e);return T===void 0&&(T=this.#e.prepare(e),this.#T.set(e,T)),T}};export{i as a,r as b};
