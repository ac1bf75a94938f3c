// Nodes of UnixFS (https://specs.ipfs.tech/unixfs/): what a block is, what it links to, and folders written as blocks.
// Folders over 256 KiB of links become HAMT shards. The sizes are those of the profile "unixfs-v1-2025", which Kubo uses
// with CIDs of version 1, so the same files get the same CIDs here and there.
import * as dagPB from "@ipld/dag-pb";
import { murmur3128 } from "@multiformats/murmur3";
import { createHAMT } from "hamt-sharding";
import { UnixFS } from "ipfs-unixfs";
import { CID } from "multiformats/cid";
import { sha256 } from "multiformats/hashes/sha2";

import { malformed } from "./errors.js";

export const RAW = 0x55;
const SHARD_BITS = 8;
const HASH_BYTES = 8;
// Blocks, of at most 1 MiB or so, that are loaded before they are asked for.
const AHEAD = 8;
const SHARD_LINK_BYTES = 262_144;
const MURMUR3 = 0x22n;

/** The CIDs that a block links to. Codecs other than dag-pb have none that matter here. */
export function linksOf(cid, bytes) {
  return cid.code === dagPB.code ? dagPB.decode(bytes).Links.map((link) => link.Hash) : [];
}

/** {type: "file" | "folder" | "other", size} of a block: size in bytes, null where it has none. */
export function describe(cid, bytes) {
  if (cid.code === RAW) return { type: "file", size: bytes.byteLength };
  if (cid.code !== dagPB.code) return { type: "other", size: null };
  const { Data } = dagPB.decode(bytes);
  if (Data === undefined) return { type: "other", size: null };
  const node = UnixFS.unmarshal(Data);
  if (node.isDirectory()) return { type: "folder", size: null };
  if (node.type === "symlink") return { type: "other", size: null };
  return { type: "file", size: Number(node.fileSize()) };
}

/** The entries {name, cid, size} of a folder, `size` with all below it; `load(cid)` gives the bytes of a block. */
export async function* entriesOf(cid, load) {
  const { Data, Links } = dagPB.decode(await load(cid));
  const node = UnixFS.unmarshal(Data);
  if (node.type === "directory") {
    for (const link of Links) yield { name: link.Name, cid: link.Hash, size: link.Tsize ?? 0 };
    return;
  }
  const digits = (Number(node.fanout) - 1).toString(16).length;
  const shards = ahead(Links.filter(({ Name }) => Name.length === digits), ({ Hash }) => load(Hash));
  for (const link of Links) {
    if (link.Name.length > digits) yield { name: link.Name.slice(digits), cid: link.Hash, size: link.Tsize ?? 0 };
    else yield* entriesOf(link.Hash, firstFrom(await shards.next(), load));
  }
}

/**
 * Bytes `start`…`end` (excluded) of the file whose root block, `bytes`, is there already. No faster than they are taken: the
 * library's own reader would fill the memory with what a slow page has not read yet.
 */
export async function* readFile(cid, bytes, start, end, load) {
  if (cid.code === RAW) {
    yield bytes.subarray(start, end);
    return;
  }
  const { Data, Links } = dagPB.decode(bytes);
  const node = UnixFS.unmarshal(Data);
  let at = node.data?.byteLength ?? 0;
  if (start < at) yield node.data.subarray(start, Math.min(end, at));
  const parts = [];
  for (const [i, { Hash }] of Links.entries()) {
    const size = Number(node.blockSizes[i]);
    if (size > 0 && at < end && at + size > start) parts.push({ cid: Hash, at, size });
    at += size;
  }
  const blocks = ahead(parts, (part) => load(part.cid));
  for (const part of parts) {
    const { value } = await blocks.next();
    if (describe(part.cid, value).size !== part.size) throw malformed("A part of this file has not the size that the file says.");
    yield* readFile(part.cid, value, Math.max(0, start - part.at), Math.min(part.size, end - part.at), load);
  }
}

/** `load` of each item, in order, some of them before they are asked for: one by one, far shards would take minutes. */
async function* ahead(items, load) {
  const running = [];
  for (const item of items) {
    const loading = load(item);
    loading.catch(() => {}); // told when its turn comes
    if (running.push(loading) >= AHEAD) yield await running.shift();
  }
  for (const loading of running) yield await loading;
}

/** A `load` that gives `bytes`, which are there already, at its first call. */
function firstFrom({ value: bytes }, load) {
  return (cid) => {
    const there = bytes;
    bytes = null;
    return there ?? load(cid);
  };
}

/** The block of a folder, or of a shard of one, as `findEntry` wants it: what it is, and its links by name. */
export function parseFolder(bytes) {
  const { Data, Links } = dagPB.decode(bytes);
  const { type, fanout } = UnixFS.unmarshal(Data);
  const links = new Map();
  for (const { Name, Hash } of Links) if (!links.has(Name)) links.set(Name, Hash);
  return { type, fanout, links };
}

/**
 * The CID of the entry called `name` in a folder, or null; of a large folder, only the shards on the way are loaded.
 * `open(cid)` gives what `parseFolder` made of a block, `load(cid)` its bytes.
 */
export async function findEntry(cid, name, open, load) {
  let hash = null;
  for (let depth = 0; depth < HASH_BYTES; depth++) {
    const { type, fanout, links } = await open(cid);
    if (type === "directory") return links.get(name) ?? null;
    if (fanout !== 256n) break; // nobody writes these; reading all of it finds the name as well
    hash ??= await murmur3128.encode(new TextEncoder().encode(name));
    const label = hash[depth].toString(16).toUpperCase().padStart(2, "0");
    const shard = links.get(label);
    if (shard === undefined) return links.get(label + name) ?? null;
    cid = shard;
  }
  for await (const entry of entriesOf(cid, load)) if (entry.name === name) return entry.cid;
  return null;
}

/** Write a folder of `entries`, a Map from name to {cid, size}. Returns its {cid, size}. */
export async function writeFolder(entries, blocks) {
  const encoder = new TextEncoder();
  let linkBytes = 0;
  for (const [name, { cid }] of entries) linkBytes += encoder.encode(name).byteLength + cid.byteLength;
  if (linkBytes <= SHARD_LINK_BYTES) {
    const links = [...entries].map(([Name, { cid, size }]) => ({ Name, Hash: cid, Tsize: size }));
    return writeNode(new UnixFS({ type: "directory" }), links, blocks);
  }
  const shards = createHAMT({ hashFn: shardHash, bits: SHARD_BITS });
  for (const [name, entry] of entries) await shards.put(name, entry);
  return writeShard(shards, blocks);
}

async function writeShard(bucket, blocks) {
  const digits = (bucket.tableSize() - 1).toString(16).length;
  const links = [];
  for (let at = 0; at < bucket._children.length; at++) {
    const child = bucket._children.get(at);
    if (child === undefined) continue;
    const label = at.toString(16).toUpperCase().padStart(digits, "0");
    const isShard = typeof child.tableSize === "function";
    const { cid, size } = isShard ? await writeShard(child, blocks) : child.value;
    links.push({ Name: isShard ? label : label + child.key, Hash: cid, Tsize: size });
  }
  const node = new UnixFS({
    type: "hamt-sharded-directory",
    data: Uint8Array.from(bucket._children.bitField().reverse()), // little endian, as Go writes it
    fanout: BigInt(bucket.tableSize()),
    hashType: MURMUR3,
  });
  return writeNode(node, links, blocks);
}

async function writeNode(node, links, blocks) {
  const bytes = dagPB.encode(dagPB.prepare({ Data: node.marshal(), Links: links }));
  const cid = CID.createV1(dagPB.code, await sha256.digest(bytes));
  await blocks.put(cid, bytes);
  return { cid, size: links.reduce((sum, link) => sum + link.Tsize, bytes.byteLength) };
}

/** The half of the hash that Go's implementation uses, in its order. */
async function shardHash(name) {
  return (await murmur3128.encode(name)).slice(0, HASH_BYTES).reverse();
}
