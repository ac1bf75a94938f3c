// All examples, in the order in which they are shown. `needs` names what the model must be able to do, or just "model".

import hyper from "./hyper.js";
import ipfs from "./ipfs.js";
import memory from "./memory.js";
import model from "./model.js";

export const GROUPS = [
  { title: "The model: window.llm", examples: model },
  { title: "Memory: window.llmMemory", examples: memory },
  { title: "Hyper", examples: hyper },
  { title: "IPFS and IPNS", examples: ipfs },
];

export const EXAMPLES = GROUPS.flatMap(({ examples }) => examples);
