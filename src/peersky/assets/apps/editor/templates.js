// Pages to start from. Each is three short files that work without a network, and that a person can read.

const PLAIN = `:root {
  color-scheme: light dark;
  --ink: light-dark(#1d2433, #eef2fa);
  --soft: light-dark(#56617a, #aab6cd);
  --paper: light-dark(#ffffff, #121826);
  --accent: light-dark(#1a56c4, #8bbaff);
}

body {
  max-width: 40rem;
  margin: 0 auto;
  padding: 2rem 1.25rem 4rem;
  background: var(--paper);
  color: var(--ink);
  font: 1.05rem/1.6 system-ui, sans-serif;
}

h1 {
  line-height: 1.15;
}

a {
  color: var(--accent);
}
`;

const page = (title, body, script = false) => `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title}</title>
  <link rel="stylesheet" href="style.css">
</head>
<body>
${body}${script ? '\n  <script src="script.js"></script>' : ""}
</body>
</html>
`;

export const TEMPLATES = [
  {
    id: "blank",
    title: "Blank page",
    about: "Nothing yet: describe what you want.",
    files: { "index.html": "", "style.css": "", "script.js": "" },
  },
  {
    id: "about",
    title: "About me",
    about: "Who you are, what you do, and links.",
    files: {
      "index.html": page(
        "Hello, I am Alex",
        `  <header>
    <p class="face" aria-hidden="true">🌤️</p>
    <h1>Hello, I am Alex</h1>
    <p class="lead">I draw maps, bake bread and write about both.</p>
  </header>
  <main>
    <h2>Now</h2>
    <p>I am working on a map of all the springs in my valley.</p>
    <h2>Elsewhere</h2>
    <ul>
      <li><a href="hyper://blog.mauve.moe/">A blog that I read</a></li>
      <li><a href="mailto:alex@example.org">Write to me</a></li>
    </ul>
  </main>`,
      ),
      "style.css": `${PLAIN}
.face {
  width: 5.5rem;
  margin: 0;
  border-radius: 50%;
  background: color-mix(in srgb, var(--accent) 18%, transparent);
  font-size: 3rem;
  line-height: 5.5rem;
  text-align: center;
}

.lead {
  color: var(--soft);
  font-size: 1.25rem;
}
`,
      "script.js": "",
    },
  },
  {
    id: "article",
    title: "Article",
    about: "A text with headings, a quotation and notes.",
    files: {
      "index.html": page(
        "What the peers told me",
        `  <article>
    <header>
      <h1>What the peers told me</h1>
      <p class="date">Spring, in the evening</p>
    </header>
    <p>A page without a server is kept by those who read it. The first paragraph says why that matters.</p>
    <blockquote>
      <p>Whoever has a copy can pass it on.</p>
    </blockquote>
    <h2>How it began</h2>
    <p>Write on here.</p>
  </article>`,
      ),
      "style.css": `${PLAIN}
.date {
  color: var(--soft);
}

blockquote {
  margin: 2rem 0;
  padding-left: 1.25rem;
  border-left: 4px solid var(--accent);
  font-size: 1.2rem;
}
`,
      "script.js": "",
    },
  },
  {
    id: "gallery",
    title: "Gallery",
    about: "Cards in a grid that fits every screen.",
    files: {
      "index.html": page(
        "My gallery",
        `  <h1>My gallery</h1>
  <ul class="cards">
    <li><span aria-hidden="true">🏔️</span> The ridge in May</li>
    <li><span aria-hidden="true">🌊</span> Tide pools</li>
    <li><span aria-hidden="true">🌲</span> The old forest</li>
    <li><span aria-hidden="true">🌌</span> No lamps for miles</li>
  </ul>`,
      ),
      "style.css": `${PLAIN.replace("40rem", "64rem")}
.cards {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr));
  gap: 1rem;
  padding: 0;
  list-style: none;
}

.cards li {
  padding: 1.25rem;
  border: 1px solid color-mix(in srgb, var(--ink) 20%, transparent);
  border-radius: 1rem;
}

.cards span {
  display: block;
  font-size: 3.5rem;
}
`,
      "script.js": "",
    },
  },
  {
    id: "list",
    title: "To-do list",
    about: "A small program: add, tick off, remove.",
    files: {
      "index.html": page(
        "To do",
        `  <h1>To do</h1>
  <form id="form">
    <label for="task">What next?</label>
    <input id="task" required autocomplete="off">
    <button>Add</button>
  </form>
  <ul id="tasks"></ul>`,
        true,
      ),
      "style.css": `${PLAIN}
form {
  display: flex;
  flex-wrap: wrap;
  gap: 0.5rem;
}

label {
  flex-basis: 100%;
}

input {
  flex: 1;
}

input,
button {
  padding: 0.6rem 0.8rem;
  font: inherit;
}

.done {
  color: var(--soft);
  text-decoration: line-through;
}
`,
      "script.js": `const form = document.getElementById("form");
const field = document.getElementById("task");
const list = document.getElementById("tasks");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const item = document.createElement("li");
  const box = document.createElement("input");
  const label = document.createElement("label");
  box.type = "checkbox";
  box.addEventListener("change", () => label.classList.toggle("done", box.checked));
  label.append(box, " ", field.value);
  item.append(label);
  list.append(item);
  field.value = "";
  field.focus();
});
`,
    },
  },
];
