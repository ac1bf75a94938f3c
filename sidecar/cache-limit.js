// One limit for what both protocols keep of others: what was used longest ago goes first, whichever protocol it came by.
//
// A protocol gives `cache()` -> {bytes, oldest: when what goes next was used} and `evict(bytes, before)` -> how many bytes
// went, of what was not used after `before`, until at most `bytes` were left. One that was not opened yet counts with what
// it keeps on disk, and is opened only where something has to go.

export class CacheLimit {
  #protocols;
  #bytes;
  #log;
  #fitting = null;
  #isDue = false;
  #isClosed = false;

  /** `protocols`: {running() -> modules, kept() -> bytes of the closed ones, all() -> promise of all modules that keep some}. */
  constructor(protocols, bytes, log) {
    this.#protocols = protocols;
    this.#bytes = bytes;
    this.#log = log;
  }

  set bytes(bytes) {
    this.#bytes = bytes;
  }

  /** Something was added, or is no longer pinned: keep to the limit in the background. */
  grew() {
    this.#isDue = true;
    this.#fitting ??= this.#whileDue().finally(() => {
      this.#fitting = null;
    });
  }

  /** Keep to the limit, or to `bytes`; returns how many bytes went. */
  async fit(bytes = this.#bytes) {
    while (this.#fitting !== null) await this.#fitting.catch(() => {});
    let freed = 0;
    this.#fitting = this.#fit(bytes).then((went) => {
      freed = went;
    });
    try {
      await this.#fitting;
    } finally {
      this.#fitting = null;
    }
    return freed;
  }

  async close() {
    this.#isClosed = true;
    await this.#fitting?.catch(() => {});
  }

  async #whileDue() {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      try {
        await this.#fit(this.#bytes);
      } catch (error) {
        this.#log(`Clearing the cache failed: ${error.stack}`); // tried again at the next growth
      }
    }
  }

  async #fit(limit) {
    let modules = this.#protocols.running();
    let closed = this.#protocols.kept();
    let freed = 0;
    while (!this.#isClosed) {
      const caches = await Promise.all(modules.map(async (module) => ({ module, ...(await module.cache()) })));
      const over = caches.reduce((sum, { bytes }) => sum + bytes, closed) - limit;
      if (over <= 0) break;
      if (closed > 0) {
        modules = await this.#protocols.all();
        closed = 0;
        continue;
      }
      const went = await evictOldest(caches, over);
      if (went === 0) break; // all that is left is being read
      freed += went;
    }
    return freed;
  }
}

/** Let go of what was used before anything in the other cache; where all of that is being read, of what comes next. */
async function evictOldest(caches, over) {
  const inTurn = caches.filter(({ bytes }) => bytes > 0).toSorted((a, b) => a.oldest - b.oldest);
  const others = inTurn[1]?.oldest ?? Infinity;
  for (const [before, cache] of [[others, inTurn[0]], ...inTurn.toReversed().map((each) => [Infinity, each])]) {
    const went = cache ? await cache.module.evict(Math.max(0, cache.bytes - over), before) : 0;
    if (went > 0) return went;
  }
  return 0;
}
