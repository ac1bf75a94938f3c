// DNSLink for Hyper: the TXT record "dnslink=/hyper/KEY" of _dnslink.NAME. (IPFS has Helia's own.)
import { resolveTxt } from "node:dns/promises";
import { offline, P2PError } from "./errors.js";

const PREFIX = "dnslink=/hyper/";
const FRESH_MS = 5 * 60 * 1000;
const MISSING = new Set(["ENOTFOUND", "ENODATA"]);

export class DnsLink {
  #resolver;
  #records;
  #fresh = new Map();

  /** `resolver`: address of a DNS-over-HTTPS service that speaks JSON; "" asks the system, null nobody. */
  constructor(resolver, records) {
    this.#resolver = resolver;
    this.#records = records;
  }

  /** The key, as text, that a name stands for; without a network, the one of last time. */
  async resolve(name) {
    const known = this.#fresh.get(name);
    if (known && known.until > Date.now()) return known.key;
    let texts;
    try {
      texts = await this.#ask(`_dnslink.${name}`);
    } catch (error) {
      if (!MISSING.has(error.code)) {
        const last = this.#records.dnsLink(name);
        if (last) return last;
        throw offline();
      }
      texts = [];
    }
    const link = texts.find((text) => text.startsWith(PREFIX));
    if (!link) throw new P2PError(404, "no_such_key", `The name ${name} has no DNSLink record for Hyper.`);
    const key = link.slice(PREFIX.length).split("/")[0];
    this.#fresh.set(name, { key, until: Date.now() + FRESH_MS });
    this.#records.setDnsLink(name, key);
    return key;
  }

  async #ask(name) {
    if (this.#resolver === null) throw new Error("No name is asked for.");
    if (!this.#resolver) return (await resolveTxt(name)).map((chunks) => chunks.join(""));
    const url = new URL(this.#resolver);
    url.searchParams.set("name", name);
    url.searchParams.set("type", "TXT");
    const reply = await fetch(url, { headers: { Accept: "application/dns-json" }, signal: AbortSignal.timeout(10_000) });
    if (!reply.ok) throw new Error(`The DNS service answered ${reply.status}.`);
    const { Answer: answers = [] } = await reply.json();
    return answers.filter(({ type }) => type === 16).map(({ data }) => data.replace(/^"|"$/g, "").replaceAll('" "', ""));
  }
}
