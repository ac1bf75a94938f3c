// Hyper's libraries as they are, for tests that must not use our code.
export { default as Corestore } from "corestore";
export { default as crypto } from "hypercore-crypto";
export { default as HyperDHT } from "hyperdht";
export { default as createTestnet } from "hyperdht/testnet.js";
export { default as Hyperdrive } from "hyperdrive";
export { default as Hyperswarm } from "hyperswarm";
export { create as createSDK } from "hyper-sdk";
export { default as z32 } from "z32";
