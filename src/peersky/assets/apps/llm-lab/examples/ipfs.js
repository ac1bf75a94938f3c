// Examples of the schemes ipfs: and ipns: through fetch.
/* global show */

export default [
  {
    id: "ipfs-file",
    title: "A file that never changes",
    about: "bafyaabakaieac is the empty folder: putting a file into it gives a new address, which stands for exactly these bytes.",
    run: async () => {
      const put = await fetch("ipfs://bafyaabakaieac/hello.txt", { method: "PUT", body: "Hello, for ever." });
      const address = put.headers.get("location");
      show(put.status, address);
      show(await (await fetch(address)).text());
    },
  },
  {
    id: "ipfs-folder",
    title: "A folder, and one with more in it",
    about: "Any CID can be the base of a PUT: the result is a new CID with the rest as it was.",
    run: async () => {
      const form = new FormData();
      form.append("file", new Blob(["<h1>Hello</h1>"], { type: "text/html" }), "index.html");
      form.append("file", new Blob(["notes"]), "notes/today.txt");
      const folder = (await (await fetch("ipfs://bafyaabakaieac/", { method: "PUT", body: form })).text()).trim().replace(/\/?$/, "/");
      show(folder);
      const more = await fetch(`${folder}notes/tomorrow.txt`, { method: "PUT", body: "more notes" });
      const root = `ipfs://${new URL(more.headers.get("location")).host}/`;
      const list = await fetch(`${root}notes/`, { headers: { Accept: "application/json", "X-Resolve": "none" } });
      show(root, await list.json());
    },
  },
  {
    id: "ipfs-read",
    title: "Look before reading",
    about: "HEAD tells the size, Range gives a part. DELETE takes your pin away; others may still have it.",
    run: async () => {
      const put = await fetch("ipfs://bafyaabakaieac/alphabet.txt", { method: "PUT", body: "abcdefghijklmnopqrstuvwxyz" });
      const root = `ipfs://${new URL(put.headers.get("location")).host}/`;
      const head = await fetch(`${root}alphabet.txt`, { method: "HEAD" });
      show(head.headers.get("content-length"), head.headers.get("content-type"));
      const part = await fetch(`${root}alphabet.txt`, { headers: { Range: "bytes=-3" } });
      show(part.status, await part.text());
      show((await fetch(root, { method: "DELETE" })).status);
    },
  },
  {
    id: "ipns",
    title: "A name that moves on",
    about: "An IPNS key stands for the CID that its owner publishes to it. POST makes the key and publishes, GET follows it, PUT changes the folder it stands for.",
    run: async () => {
      const body = "First version";
      const put = await fetch("ipfs://bafyaabakaieac/index.html", { method: "PUT", body });
      const root = `ipfs://${new URL(put.headers.get("location")).host}/`;
      const made = await fetch("ipns://localhost/?key=playground", { method: "POST" });
      const name = made.headers.get("location").replace(/\/?$/, "/");
      const published = await fetch(name, { method: "POST", body: root });
      show(name, published.status, await (await fetch(`${name}index.html`)).text());
      const changed = await fetch(`${name}index.html`, { method: "PUT", body: "Second version" });
      show(changed.status, await (await fetch(`${name}index.html`)).text());
    },
  },
  {
    id: "ipns-names",
    title: "Find and forget a name",
    about: "GET on the name of a key leads to it, 404 says that it was never made, and DELETE removes the key.",
    run: async () => {
      const here = "ipns://localhost/?key=playground-short-lived";
      show((await fetch(here)).status);
      const made = await fetch(here, { method: "POST" });
      show(made.status, made.headers.get("location"));
      show((await fetch(here, { method: "DELETE" })).status);
      show((await fetch(here)).status);
    },
  },
];
