// Counts and limits what libp2p sends and receives. libp2p shows every stream and connection to its metrics; here that is a
// pair of buckets (buckets.js): a stream that has sent or received more than its share waits until that is paid off.
import { setTimeout as delay } from "node:timers/promises";

import { Bucket } from "./buckets.js";

export class Traffic {
  #sent = new Bucket();
  #received = new Bucket();
  #timers = new Set();

  constructor(limits) {
    this.limits(limits);
  }

  limits({ uploadBytesPerSecond, downloadBytesPerSecond }) {
    if (uploadBytesPerSecond !== undefined) this.#sent.limit = uploadBytesPerSecond;
    if (downloadBytesPerSecond !== undefined) this.#received.limit = downloadBytesPerSecond;
  }

  get counts() {
    return { inBytes: this.#received.bytes, outBytes: this.#sent.bytes };
  }

  close() {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** What libp2p's option `metrics` wants: a factory of an object with these methods. Nothing else is recorded. */
  asMetrics() {
    const nothing = { update() {}, increment() {}, decrement() {}, reset() {}, observe() {}, timer: () => () => {} };
    return () => ({
      start() {},
      stop() {},
      trackMultiaddrConnection() {},
      trackProtocolStream: (stream) => this.#track(stream),
      traceFunction: (_name, call) => call,
      createTrace: () => undefined,
      registerMetric: () => nothing,
      registerMetricGroup: () => nothing,
      registerCounter: () => nothing,
      registerCounterGroup: () => nothing,
      registerHistogram: () => nothing,
      registerHistogramGroup: () => nothing,
      registerSummary: () => nothing,
      registerSummaryGroup: () => nothing,
    });
  }

  #track(stream) {
    const send = stream.send.bind(stream);
    const onDrain = stream.onDrain.bind(stream);
    stream.send = (data) => {
      this.#sent.take(data.byteLength);
      return send(data) && this.#sent.debtMs === 0;
    };
    stream.onDrain = async (options) => {
      const wait = this.#sent.debtMs;
      if (wait > 0) await delay(wait, null, { ref: false });
      if (stream.writableNeedsDrain) await onDrain(options);
    };
    // Not by a listener for messages: a stream that has one gives away data that its real reader is not there for yet.
    const onData = stream.onData.bind(stream);
    stream.onData = (data) => {
      onData(data);
      this.#received.take(data.byteLength);
      const wait = this.#received.debtMs;
      if (wait === 0 || stream.readStatus !== "readable") return;
      stream.pause();
      this.#after(wait, () => {
        if (stream.readStatus === "paused") stream.resume();
      });
    };
  }

  #after(ms, call) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      call();
    }, ms);
    this.#timers.add(timer);
  }
}
