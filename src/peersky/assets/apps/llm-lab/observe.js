// Counts the tokens of window.llm without changing what it does: what chat() returns stays lazy, is a promise and can be
// iterated, and stops where the reader stops. Pure, tested in Node.

// The same bridge; note({inputTokens, outputTokens}) is called once for each answer that tells its usage.
export function observed(llm, note) {
  const chat = (options) => noted(llm.chat(options), note);
  return Object.freeze({ ...llm, chat });
}

function noted(answer, note) {
  let isNoted = false;
  const see = (value) => {
    if (value?.usage && !isNoted) {
      isNoted = true;
      note(value.usage);
    }
    return value;
  };
  const { then } = answer;
  const iterate = answer[Symbol.asyncIterator].bind(answer);
  // catch() and finally() call then().
  return Object.defineProperties(answer, {
    then: { value: (done, failed) => then.call(answer, see).then(done, failed) },
    [Symbol.asyncIterator]: { value: () => seen(iterate(), see) },
  });
}

function seen(iterator, see) {
  const next = async () => {
    const result = await iterator.next();
    see(result.value);
    return result;
  };
  return {
    next,
    return: (value) => iterator.return(value),
    throw: (error) => iterator.throw(error),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
