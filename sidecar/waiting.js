// Waits that end, and streams that clean up.

/** Resolves as `promise` does, or to `otherwise()` (which may throw) after `ms`, or rejects when `signal` aborts. */
export function within(promise, ms, otherwise, signal) {
  promise.catch(() => {}); // it may fail after nobody waits any more
  return new Promise((resolve, reject) => {
    const end = (settle) => (value) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      settle(value);
    };
    const aborted = end(() => reject(signal.reason));
    const timer = setTimeout(
      end(() => {
        try {
          resolve(otherwise());
        } catch (error) {
          reject(error);
        }
      }),
      ms,
    );
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted) aborted();
    promise.then(end(resolve), end(reject));
  });
}

/** The rest of an iterator, after `first`; `cleanUp()` runs once at its end, also when it is left before it was begun. */
export function cleanedUp(iterator, cleanUp, first = null) {
  let isClean = false;
  const end = () => {
    if (!isClean) cleanUp();
    isClean = true;
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      try {
        const result = first ?? (await iterator.next());
        first = null;
        if (result.done) end();
        return result;
      } catch (error) {
        end();
        throw error;
      }
    },
    async return() {
      await iterator.return?.();
      end();
      return { done: true, value: undefined };
    },
  };
}
