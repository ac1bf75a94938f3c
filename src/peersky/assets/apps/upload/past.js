// What was uploaded from here, in this app's localStorage: addresses to go back to. The browser's own list of all that
// was published is peersky://archive/.

const KEY = "upload.list";
const MOST = 200;

export function readList(storage) {
  try {
    const list = JSON.parse(storage.getItem(KEY) ?? "[]");
    return list.filter((entry) => /^(?:hyper|ipfs):\/\/[a-z0-9]+\//.test(entry?.url) && typeof entry.title === "string");
  } catch {
    return [];
  }
}

// One entry for each address, the last one first.
export function withEntry(list, entry) {
  return [entry, ...list.filter(({ url }) => url !== entry.url)].slice(0, MOST);
}

// Whether it could be kept.
export function writeList(storage, list) {
  try {
    storage.setItem(KEY, JSON.stringify(list));
    return true;
  } catch {
    return false;
  }
}
