// What an error of window.llm means for somebody who chats: what to do beside asking again. Pure; tested in Node.
// The reasons are those of docs/window-llm.md.

const SETTINGS = [
  "llm_disabled", "provider_missing", "model_missing", "model_file_invalid", "not_enough_memory", "crash_loop",
  "capability_missing", "model_not_exposed", "key_missing", "key_refused", "insecure_url", "unreachable", "credits",
  "blocked_by_user", "refused_by_service",
];

const WORDS = {
  unreachable: "See whether the model's program runs on this computer, or whether the service's address is right.",
  body_too_large: "Leave out a picture or a part of the text.",
  capability_missing: "Choose a model that can do this, or leave the pictures out.",
  queue_full: "Wait until other questions are answered.",
  declined: "You did not let this question leave the computer; ask again to decide anew.",
};

// {text, settings: whether its page helps, shorter: whether less of the conversation does}
export function adviceFor(reason) {
  return { text: WORDS[reason] ?? "", settings: SETTINGS.includes(reason), shorter: reason === "context_length" };
}
