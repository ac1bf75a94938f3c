// Examples of window.llmMemory, with an appId of their own that the last line of each clears.
/* global show */

export default [
  {
    id: "memory",
    title: "Keep a conversation",
    about: "Conversations that the user lets a page keep, on this computer. Off until the user switches it on at peersky://settings/memory: add() says so, and the lists are empty.",
    run: async () => {
      const { llmMemory } = window;
      show(`Memory is ${(await llmMemory.isEnabled()) ? "on" : "off"}.`);
      const [appId, sessionId] = ["playground", crypto.randomUUID()];
      show(await llmMemory.add({ appId, sessionId, role: "user", content: "What is a drive?" }));
      show(await llmMemory.add({ appId, sessionId, role: "assistant", content: "A folder that one key may write.", model: "none", meta: { stars: 5 } }));
      show(await llmMemory.list({ appId, sessionId, search: "DRIVE", limit: 10 }));
      await llmMemory.clear({ appId, sessionId });
    },
  },
  {
    id: "memory-sessions",
    title: "Sessions",
    about: "A session is named after its first question until updateSession() names it. An origin sees its own entries only; built-in apps are kept apart by their path.",
    run: async () => {
      const { llmMemory } = window;
      const [appId, sessionId] = ["playground", crypto.randomUUID()];
      await llmMemory.add({ appId, sessionId, content: "A first question" });
      show(await llmMemory.updateSession({ appId, sessionId }, { title: "About drives", pinned: true }));
      show(await llmMemory.listSessions({ appId, limit: 5 }));
      show(await llmMemory.clear({ appId }));
    },
  },
  {
    id: "memory-wrong",
    title: "What it refuses",
    about: "A wrong entry is told in the answer, and nothing is cut to fit; a wrong option is a TypeError that names it.",
    run: async () => {
      const { llmMemory } = window;
      show(await llmMemory.add({ appId: "playground", sessionId: "one", content: "x".repeat(100_001) }));
      await llmMemory.list({ limit: "many" }).catch((error) => show(`${error.name} (${error.reason}): ${error.message}`));
    },
  },
];
