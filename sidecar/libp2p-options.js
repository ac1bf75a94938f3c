// How the IPFS node meets its peers, by `listen`:
//   everywhere  public: all interfaces, the public DHT, bootstrap, relays, UPnP
//   nowhere     public, but it only dials
//   lan         private addresses alone: mDNS and the DHT of the local network
//   loopback    127.0.0.1 alone, and no peer but those that are named
//
// What Helia would do by default and this does not: HTTP gateways and delegated routers (companies that would learn what the
// user reads and publishes), a certificate from a public registry, a relay for others, WebRTC (native code of 10 MB).
import { noise } from "@libp2p/noise";
import { yamux } from "@libp2p/yamux";
import { autoNAT } from "@libp2p/autonat";
import { bootstrap } from "@libp2p/bootstrap";
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { dcutr } from "@libp2p/dcutr";
import { identify, identifyPush } from "@libp2p/identify";
import { kadDHT, passthroughMapper, removePrivateAddressesMapper, removePublicAddressesMapper } from "@libp2p/kad-dht";
import { mdns } from "@libp2p/mdns";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { uPnPNAT } from "@libp2p/upnp-nat";
import { isLoopback, isPrivate } from "@libp2p/utils";
import { webSockets } from "@libp2p/websockets";

// The peers that Kubo starts from, too.
const BOOTSTRAP = [
  "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
  "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
  "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
  "/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
];

/**
 * Options of libp2p. `ipnsRules`: {validators, selectors} that the DHTs apply to records of names. `onNeighbour({id,
 * multiaddrs})` is called for each peer of the local network, again and again: libp2p itself only notes their addresses.
 */
export function libp2pOptions({ config, privateKey, datastore, dns, ipnsRules, traffic, onNeighbour }) {
  const { listen, ipfsPort: port } = config;
  const isPublic = listen === "everywhere" || listen === "nowhere";
  const dht = (prefix, options) =>
    kadDHT({ ...ipnsRules, logPrefix: `libp2p:${prefix}`, datastorePrefix: `/${prefix}`, metricsPrefix: prefix, ...options });
  return {
    privateKey,
    datastore,
    dns,
    metrics: traffic.asMetrics(),
    addresses: { listen: addresses(listen, port) },
    transports: isPublic ? [tcp(), webSockets(), circuitRelayTransport()] : [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: gater(listen),
    peerDiscovery: [
      ...(isPublic ? [bootstrap({ list: BOOTSTRAP })] : []),
      ...(listen === "everywhere" || listen === "lan" ? [neighbours(onNeighbour)] : []),
    ],
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      // The protocol of the DHT that Kubo keeps for the local network.
      lanDHT: dht("dht-lan", {
        protocol: "/ipfs/lan/kad/1.0.0",
        clientMode: listen === "nowhere",
        peerInfoMapper: listen === "loopback" ? passthroughMapper : removePublicAddressesMapper,
      }),
      ...(isPublic && {
        publicDHT: dht("dht-amino", {
          protocol: "/ipfs/kad/1.0.0",
          ...(listen === "nowhere" && { clientMode: true }),
          peerInfoMapper: removePrivateAddressesMapper,
        }),
      }),
      ...(listen === "everywhere" && { autoNAT: autoNAT(), dcutr: dcutr(), upnp: uPnPNAT() }),
    },
  };
}

function neighbours(onNeighbour) {
  return (components) => {
    const discovery = mdns()(components);
    discovery.addEventListener("peer", ({ detail }) => onNeighbour(detail));
    return discovery;
  };
}

function addresses(listen, port) {
  switch (listen) {
    case "loopback":
      return [`/ip4/127.0.0.1/tcp/${port}`];
    case "lan":
      return [`/ip4/0.0.0.0/tcp/${port}`, `/ip6/::/tcp/${port}`];
    case "everywhere":
      return [`/ip4/0.0.0.0/tcp/${port}`, `/ip6/::/tcp/${port}`, "/ip4/0.0.0.0/tcp/0/ws", "/p2p-circuit"];
    default:
      return [];
  }
}

/** Which connections libp2p must not make or take: peers tell each other addresses, which may lie outside. */
function gater(listen) {
  if (listen === "loopback") return refusing((address) => !isLoopback(address));
  if (listen === "lan") return refusing((address) => !isPrivate(address));
  return { denyDialMultiaddr: () => false };
}

function refusing(isOutside) {
  return {
    denyDialMultiaddr: (address) => isOutside(address),
    denyInboundConnection: (connection) => isOutside(connection.remoteAddr),
  };
}
