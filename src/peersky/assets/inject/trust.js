/*
 * Whether this frame may have the injected scripts at all. Convenience, not protection: the browser process checks every
 * request by itself (core/trust.py, whose rules these are).
 *
 * Expects `config` {allowlist: [origin], blocked: [origin]}; see qt/profile.py.
 */

const OWN_ORIGIN = /^(?:peersky|hyper|ipfs|ipns):\/\/[a-z0-9_.-]+$/;
const LOCALHOST = /^http:\/\/localhost(?::\d+)?$/;

function isTrustedOrigin(origin) {
  if (config.blocked.includes(origin)) return false;
  return OWN_ORIGIN.test(origin) || LOCALHOST.test(origin) || config.allowlist.includes(origin);
}

/** True where this frame and every frame above it have a trusted origin. */
function isTrustedFrame() {
  return isTrustedOrigin(self.origin) && Array.from(location.ancestorOrigins).every(isTrustedOrigin);
}
