// IPFS's libraries as they are, for tests that must not use our code.
export { withBitswap } from "@helia/bitswap";
export { ipns } from "@helia/ipns";
export { withLibp2pLight } from "@helia/libp2p";
export { unixfs } from "@helia/unixfs";
export { noise } from "@libp2p/noise";
export { yamux } from "@libp2p/yamux";
export { identify } from "@libp2p/identify";
export { kadDHT, passthroughMapper } from "@libp2p/kad-dht";
export { ping } from "@libp2p/ping";
export { tcp } from "@libp2p/tcp";
export { multiaddr } from "@multiformats/multiaddr";
export { createHeliaLight } from "helia";
export { CID } from "multiformats/cid";
export { base36 } from "multiformats/bases/base36";
export { base58btc } from "multiformats/bases/base58";
