// Examples of window.llm. Each is a function, and what a person reads and changes is its body.
/* global show, write */

export default [
  {
    id: "is-supported",
    title: "Is there a model?",
    about: "window.llm is there on every page that the user trusts. isSupported() says whether a question would be answered; it asks no server. An app without a model leads to peersky://settings/llm.",
    run: async () => {
      if (await window.llm?.isSupported()) {
        show("Yes: ask it something.");
      } else {
        const link = document.createElement("a");
        Object.assign(link, { href: "peersky://settings/llm", target: "_top", textContent: "Choose a model" });
        show("Not yet.", link);
      }
    },
  },
  {
    id: "model",
    title: "Which model?",
    about: "The user chose it. Ask for what it can do, not for its name. contextLength is in tokens, 0 where it is unknown.",
    needs: "model",
    run: async () => {
      const { model, provider, capabilities, contextLength } = await window.llm.model();
      show(`${model} by ${provider}`);
      show({ capabilities, contextLength });
    },
  },
  {
    id: "chat",
    title: "Chat: the whole answer",
    about: "Awaited, chat() gives a message: content is always a string, finishReason says why it ended, usage what it cost.",
    needs: "model",
    run: async () => {
      const messages = [
        { role: "system", content: "You answer in one short sentence." },
        { role: "user", content: "What is a peer-to-peer web page?" },
      ];
      const answer = await window.llm.chat({ messages });
      show(answer.content);
      show({ role: answer.role, finishReason: answer.finishReason, usage: answer.usage });
    },
  },
  {
    id: "chat-stream",
    title: "Chat: while it is written",
    about: "Iterated, the same chat() gives deltas. While a long prompt is read they carry progress instead of text.",
    needs: "model",
    run: async () => {
      const messages = [{ role: "user", content: "Tell me about the sky in three sentences." }];
      let last;
      for await (const delta of window.llm.chat({ messages, maxTokens: 200 })) {
        write(delta.content);
        if (delta.progress) write(`(read ${delta.progress.processed} of ${delta.progress.total} tokens) `);
        last = delta;
      }
      show({ finishReason: last.finishReason, usage: last.usage });
    },
  },
  {
    id: "complete",
    title: "Complete a text",
    about: "complete() goes on with a text. Awaited it is a string, iterated it is pieces of one. It tells no usage: where you need that, use chat().",
    needs: "model",
    run: async () => {
      show(await window.llm.complete("Three words for blue:", { maxTokens: 24 }));
      for await (const piece of window.llm.complete("Once upon a time", { maxTokens: 48 })) write(piece);
    },
  },
  {
    id: "conversation",
    title: "A conversation",
    about: "Send the whole conversation each time; what chat() gave can be sent back as it is. The same conversation text lets the next question start faster, and leaves the computer never.",
    needs: "model",
    run: async () => {
      const conversation = crypto.randomUUID();
      const messages = [];
      for (const question of ["Name a colour.", "Name something that has it."]) {
        messages.push({ role: "user", content: question });
        const answer = await window.llm.chat({ messages, conversation, maxTokens: 60 });
        messages.push(answer);
        show(`${question} ${answer.content}`);
      }
    },
  },
  {
    id: "one-answer",
    title: "One question, many readers",
    about: "What chat() returns is a promise and an async iterable at once, and lazy: nothing is sent before somebody reads. All readers share one answer.",
    needs: "model",
    run: async () => {
      const answer = window.llm.chat({ messages: [{ role: "user", content: "Say hello." }], maxTokens: 40 });
      let text = "";
      for await (const { content } of answer) text += content;
      const whole = await answer;
      show(text, whole.content === text ? "The same answer, asked once." : "Something is wrong.");
    },
  },
  {
    id: "options",
    title: "Options",
    about: "temperature, topP and seed decide how it chooses words, maxTokens and stop where it ends. What is left out is what the user set. A wrong type is a TypeError, an unknown option is ignored with a warning.",
    needs: "model",
    run: async () => {
      const messages = [{ role: "user", content: "Count from one to twenty." }];
      const short = await window.llm.chat({ messages, temperature: 0, maxTokens: 5 });
      show(`${short.content} …`, `It ended because of: ${short.finishReason}`);
      const stopped = await window.llm.chat({ messages, temperature: 0, topP: 0.9, seed: 7, stop: ["five", "5"], maxTokens: 80 });
      show(stopped.content, `It ended because of: ${stopped.finishReason}`);
    },
  },
  {
    id: "stop",
    title: "Stop it",
    about: "Leaving the loop stops the model, and so do an AbortSignal, another page and a closed tab.",
    needs: "model",
    run: async () => {
      const messages = [{ role: "user", content: "Write a long story about a cloud." }];
      for await (const { content } of window.llm.chat({ messages })) {
        write(content);
        if (content) break;
      }
      show("Left the loop: the model has stopped.");

      const controller = new AbortController();
      controller.abort();
      await window.llm.chat({ messages, signal: controller.signal }).catch((error) => {
        show(`${error.name} (${error.reason}): ${error.message}`);
      });
    },
  },
  {
    id: "json",
    title: "An answer in JSON",
    about: "responseFormat takes a JSON schema. Backends that can hold the model to it do; where one cannot, the error says so. Parse with care all the same: a cut answer is no JSON.",
    needs: "model",
    run: async () => {
      const responseFormat = {
        type: "object",
        properties: { name: { type: "string" }, tags: { type: "array", items: { type: "string" }, maxItems: 3 } },
        required: ["name", "tags"],
      };
      const messages = [{ role: "user", content: "A name and three tags for a page about clouds, as JSON." }];
      try {
        const { content } = await window.llm.chat({ messages, responseFormat, maxTokens: 200 });
        show(JSON.parse(content));
      } catch (error) {
        show(`No JSON this time: ${error.message}`);
      }
    },
  },
  {
    id: "tools",
    title: "Tools",
    about: "The model asks for a function, the page calls it, and the model answers with the result. It is the page that decides what is called: check the arguments.",
    needs: "tools",
    run: async () => {
      const tools = [{
        type: "function",
        function: {
          name: "time_in",
          description: "The time of day in a city",
          parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
        },
      }];
      const messages = [{ role: "user", content: "What time is it in Lisbon?" }];
      const question = await window.llm.chat({ messages, tools, toolChoice: "auto" });
      if (!question.toolCalls) {
        show("It asked for no tool:", question.content);
        return;
      }
      messages.push(question);
      for (const call of question.toolCalls) {
        show(`It calls ${call.function.name}(${call.function.arguments})`);
        messages.push({ role: "tool", toolCallId: call.id, content: "It is 9:41." });
      }
      show((await window.llm.chat({ messages, tools })).content);
    },
  },
  {
    id: "image",
    title: "Pictures",
    about: "A model that sees takes pictures as data: URLs beside the text. Remote addresses are refused, so that no server learns of the question.",
    needs: "vision",
    run: async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 100 });
      const paint = canvas.getContext("2d");
      paint.fillStyle = "skyblue";
      paint.fillRect(0, 0, 160, 100);
      paint.fillStyle = "gold";
      paint.arc(115, 35, 18, 0, 7);
      paint.fill();
      show(canvas);
      const content = [
        { type: "text", text: "Describe this picture in one sentence." },
        { type: "image_url", image_url: { url: canvas.toDataURL("image/png") } },
      ];
      show((await window.llm.chat({ messages: [{ role: "user", content }], maxTokens: 80 })).content);
    },
  },
  {
    id: "reasoning",
    title: "What it thinks",
    about: "A model that thinks before it answers does so with think: true (or low, medium, high). Its thoughts come as reasoning, apart from the content.",
    needs: "thinking",
    run: async () => {
      const messages = [{ role: "user", content: "Is 91 a prime number?" }];
      let thoughts = "";
      let text = "";
      for await (const { reasoning = "", content } of window.llm.chat({ messages, think: true })) {
        thoughts += reasoning;
        text += content;
      }
      show(`It thought: ${thoughts || "(nothing that it tells)"}`, text);
    },
  },
  {
    id: "errors",
    title: "Errors",
    about: "Errors are DOMExceptions with a sentence for people and a stable reason for programs; wrong options are TypeErrors. A stream that breaks never looks like a normal end.",
    run: async () => {
      const messages = [{ role: "user", content: "Hi" }];
      const wrong = [
        { messages, temperature: "hot" },
        { messages, model: "a-model-that-nobody-chose" },
        { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://example.com/a.png" } }] }] },
      ];
      for (const options of wrong) {
        try {
          await window.llm.chat(options);
          show("It answered.");
        } catch (error) {
          show(`${error.name} (${error.reason}): ${error.message}`);
        }
      }
    },
  },
  {
    id: "by-hand",
    title: "By hand: llm://bridge/v1",
    about: "The bridge speaks OpenAI's wire format, so a client library with baseURL llm://bridge/v1 works in a trusted page. Errors are OpenAI's error objects.",
    needs: "model",
    run: async () => {
      const models = await (await fetch("llm://bridge/v1/models")).json();
      show(models.data.map(({ id }) => id));
      const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }], max_tokens: 20 });
      const whole = await (await fetch("llm://bridge/v1/chat/completions", { method: "POST", body })).json();
      show(whole.choices[0].message, whole.usage);
      const stream = JSON.stringify({ ...JSON.parse(body), stream: true });
      const reply = await fetch("llm://bridge/v1/chat/completions", { method: "POST", body: stream });
      for await (const text of reply.body.pipeThrough(new TextDecoderStream())) write(text);
      const refused = await fetch("llm://bridge/v1/chat/completions", { method: "POST", body: "{}" });
      show(refused.status, await refused.json());
    },
  },
  {
    id: "embeddings",
    title: "Embeddings",
    about: "Vectors for texts, for search by meaning. Not every model makes them.",
    needs: "embedding",
    run: async () => {
      const body = JSON.stringify({ input: ["a cloud in the sky", "a fish in the sea"] });
      const reply = await fetch("llm://bridge/v1/embeddings", { method: "POST", body });
      const { data, error } = await reply.json();
      if (error) {
        show(`${reply.status} (${error.code}): ${error.message}`);
        return;
      }
      for (const { index, embedding } of data) show(`${index}: ${embedding.length} numbers, ${embedding.slice(0, 4).join(", ")} …`);
    },
  },
  {
    id: "llm-bridge",
    title: "Apps of earlier versions",
    about: "window._llmBridge is what apps made for earlier versions of PeerSky call. New apps use window.llm.",
    needs: "model",
    run: async () => {
      const bridge = window._llmBridge;
      show(await bridge.isSupported(), await bridge.modelInfo());
      show((await bridge.chat({ messages: [{ role: "user", content: "Hi" }], maxTokens: 20 })).content);
      show(await bridge.complete({ prompt: "Hello", maxTokens: 20 }));
      const text = await bridge.completeStream("Goodbye", { maxTokens: 20 });
      await bridge.iteratorReturn(text);
      const id = await bridge.chatStream({ messages: [{ role: "user", content: "Hi" }], maxTokens: 20 });
      for (;;) {
        const { done, value } = await bridge.iteratorNext(id);
        if (done) break;
        write(value.content);
      }
    },
  },
];
