// Examples of the scheme hyper: through fetch. They write to drives of the names that they give.
/* global show, write */

export default [
  {
    id: "hyper-drive",
    title: "A drive of one's own",
    about: "POST makes the drive of a name, or finds it again; names are those of the page that asks. PUT writes a file, GET reads it. The address stays the same for ever.",
    run: async () => {
      const made = await fetch("hyper://localhost/?key=playground", { method: "POST" });
      const drive = await made.text();
      const written = await fetch(`${drive}hello.txt`, { method: "PUT", body: "Hello, peers!" });
      show(`${written.status} ${written.statusText}`);
      const read = await fetch(`${drive}hello.txt`);
      show(await read.text(), Object.fromEntries(read.headers));
      const found = await fetch("hyper://localhost/?key=playground");
      show((await found.text()) === drive ? "The same drive again." : "Another drive.");
    },
  },
  {
    id: "hyper-folder",
    title: "A folder at once",
    about: "A form's files become files of the folder; slashes in their names are folders. A folder shows its index.html; with Accept: application/json and ?noResolve it is a list.",
    run: async () => {
      const drive = await (await fetch("hyper://localhost/?key=playground", { method: "POST" })).text();
      const form = new FormData();
      form.append("file", new Blob(["<h1>Hello</h1>"], { type: "text/html" }), "index.html");
      form.append("file", new Blob(["body { color: teal }"], { type: "text/css" }), "look/style.css");
      const written = await fetch(`${drive}site/`, { method: "PUT", body: form });
      show(written.status);
      const list = await fetch(`${drive}site/?noResolve`, { headers: { Accept: "application/json" } });
      show(await list.json());
      show(await (await fetch(`${drive}site/`)).text());
      const link = document.createElement("a");
      Object.assign(link, { href: `${drive}site/`, target: "_blank", textContent: `${drive}site/` });
      show(link);
    },
  },
  {
    id: "hyper-range",
    title: "Parts of a file, and old versions",
    about: "Range gives a part (206), ETag is the version, and /$/version/N/ reads the drive as it was.",
    run: async () => {
      const drive = await (await fetch("hyper://localhost/?key=playground", { method: "POST" })).text();
      await fetch(`${drive}alphabet.txt`, { method: "PUT", body: "abcdefghijklmnopqrstuvwxyz" });
      const part = await fetch(`${drive}alphabet.txt`, { headers: { Range: "bytes=2-5" } });
      show(part.status, part.headers.get("content-range"), await part.text());
      const version = (await fetch(`${drive}alphabet.txt`, { method: "HEAD" })).headers.get("etag").replace(/\D/g, "");
      await fetch(`${drive}alphabet.txt`, { method: "PUT", body: "0123456789" });
      show(await (await fetch(`${drive}alphabet.txt`)).text());
      show(await (await fetch(`${drive}$/version/${version}/alphabet.txt`)).text());
    },
  },
  {
    id: "hyper-delete",
    title: "Delete",
    about: "DELETE removes a file or a folder; of the whole drive it removes the drive itself, for good. Old versions that peers have stay with them.",
    run: async () => {
      const drive = await (await fetch("hyper://localhost/?key=playground-short-lived", { method: "POST" })).text();
      await fetch(`${drive}a.txt`, { method: "PUT", body: "a" });
      show((await fetch(`${drive}a.txt`, { method: "DELETE" })).status);
      const gone = await fetch(`${drive}a.txt`);
      show(gone.status, await gone.text());
      show((await fetch(drive, { method: "DELETE" })).status);
    },
  },
  {
    id: "hyper-messages",
    title: "Messages to peers",
    about: "Who has a drive open can talk: an EventSource hears, POST says. Open the drive in another browser to have somebody there.",
    run: async () => {
      const drive = await (await fetch("hyper://localhost/?key=playground", { method: "POST" })).text();
      const source = new EventSource(`${drive}$/extensions/chat`);
      source.addEventListener("chat", (event) => show(`A peer says: ${event.data}`));
      await new Promise((resolve, reject) => {
        source.onopen = resolve;
        source.onerror = () => reject(new Error("The channel cannot be opened."));
      });
      const said = await fetch(`${drive}$/extensions/chat`, { method: "POST", body: "Hello to all" });
      show(`Said it: ${said.status}`);
      source.close();
    },
  },
  {
    id: "upload-large",
    title: "Large bodies, with progress",
    about: "Blobs, forms and streams of any size arrive whole or not at all. XMLHttpRequest tells how far the upload is; an abort publishes nothing.",
    run: async () => {
      const drive = await (await fetch("hyper://localhost/?key=playground", { method: "POST" })).text();
      const status = await new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.open("PUT", `${drive}zeros.bin`);
        request.upload.onprogress = ({ loaded, total }) => write(`${Math.round((100 * loaded) / total)} % `);
        request.onload = () => resolve(request.status);
        request.onerror = () => reject(new Error("The upload broke off."));
        request.send(new Blob([new Uint8Array(9_000_000)]));
      });
      show(status);
      const lines = ["first\n", "second\n"].map((line) => new TextEncoder().encode(line));
      const body = new ReadableStream({ pull: (stream) => (lines.length ? stream.enqueue(lines.shift()) : stream.close()) });
      show((await fetch(`${drive}stream.txt`, { method: "PUT", body, duplex: "half" })).status);
      show(await (await fetch(`${drive}stream.txt`)).text());
    },
  },
  {
    id: "p2p-errors",
    title: "Errors of the P2P schemes",
    about: "Statuses are true, and each body is one plain sentence: 400 malformed, 403 not yours, 404 no such path, 504 nobody has it.",
    run: async () => {
      const drive = await (await fetch("hyper://localhost/?key=playground", { method: "POST" })).text();
      const asked = [
        fetch(`${drive}no-such-file.txt`),
        fetch("hyper://not-a-key/"),
        fetch("ipfs://not-a-cid/"),
        fetch(`${drive}`, { method: "PUT", body: "A drive is no file" }),
      ];
      for (const reply of await Promise.all(asked)) show(`${reply.status}: ${await reply.text()}`);
    },
  },
];
