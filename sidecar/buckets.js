// A bandwidth limit: bytes are counted, and paid off at so many per second.

const FREE_BYTES = 64 * 1024; // of one message: one block, not the dozen that a busy computer sends as one

export class Bucket {
  bytes = 0;
  #perSecond = 0;
  #paidAt = 0;

  /** Bytes per second; 0: no limit. */
  set limit(bytesPerSecond) {
    this.#perSecond = bytesPerSecond;
    this.#paidAt = 0;
  }

  get limit() {
    return this.#perSecond;
  }

  /** Milliseconds until everything taken so far is paid off. */
  get debtMs() {
    return this.#perSecond > 0 ? Math.max(0, this.#paidAt - Date.now()) : 0;
  }

  /** Count bytes; returns the milliseconds to wait: until what was taken before is paid off, and most of these, too. */
  take(bytes) {
    this.bytes += bytes;
    if (this.#perSecond <= 0) return 0;
    const wait = this.debtMs;
    this.#paidAt = Math.max(this.#paidAt, Date.now()) + (bytes / this.#perSecond) * 1000;
    return Math.max(wait, this.debtMs - (FREE_BYTES / this.#perSecond) * 1000);
  }
}
