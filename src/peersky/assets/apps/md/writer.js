// CodeMirror as the writer uses it. It stands in a shadow root, since there its styles are style sheet objects, which the
// page's Content-Security-Policy allows.

import {
  closeBrackets,
  closeBracketsKeymap,
  Compartment,
  defaultKeymap,
  drawSelection,
  dropCursor,
  EditorState,
  EditorView,
  highlightSpecialChars,
  HighlightStyle,
  history,
  historyKeymap,
  keymap,
  markdown,
  markdownLanguage,
  openSearchPanel,
  placeholder,
  search,
  searchKeymap,
  syntaxHighlighting,
  tags,
  undo,
} from "./vendor/codemirror.esm.js";

// The window takes Ctrl+F for its own search, which sees only the lines that are drawn.
const FIND = { key: "Ctrl-Shift-f", run: openSearchPanel, preventDefault: true };

// Colours come from the style sheet, so that one theme is light and dark.
const COLOURS = HighlightStyle.define([
  { tag: tags.heading, color: "var(--code-tag)", fontWeight: "bold" },
  { tag: tags.strong, fontWeight: "bold" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: tags.strikethrough, textDecoration: "line-through" },
  { tag: [tags.link, tags.url], color: "var(--code-string)" },
  { tag: [tags.monospace, tags.quote], color: "var(--code-name)" },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.meta], color: "var(--text-soft)" },
]);

const THEME = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "0.95rem" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "1.65" },
  ".cm-content": { caretColor: "var(--text)", padding: "1.25rem clamp(0.9rem, 3vw, 2rem)", maxWidth: "48rem" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)",
  },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--warn) 30%, transparent)", outline: "1px solid var(--warn)" },
  ".cm-placeholder": { color: "var(--text-soft)" },
  ".cm-panels": { backgroundColor: "var(--surface-sunk)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panel input, .cm-panel button": { font: "inherit", color: "var(--text)", background: "var(--surface)", border: "1px solid var(--line-strong)", borderRadius: "0.3rem" },
});

const darkness = window.matchMedia("(prefers-color-scheme: dark)");

export class Writer {
  #view;
  #dark = new Compartment();
  #locked = new Compartment();
  #isSilent = false;

  // on: {changed(), scrolled(share of the way down)}
  constructor(host, on) {
    const root = host.attachShadow({ mode: "open" });
    this.on = on;
    this.#view = new EditorView({ parent: root, root, state: this.#state("") });
    darkness.addEventListener("change", () => this.#view.dispatch({ effects: this.#dark.reconfigure(EditorView.darkTheme.of(darkness.matches)) }));
    const { scrollDOM } = this.#view;
    scrollDOM.addEventListener("scroll", () => on.scrolled(scrollDOM.scrollTop / Math.max(1, scrollDOM.scrollHeight - scrollDOM.clientHeight)));
  }

  get text() {
    return this.#view.state.doc.toString();
  }

  get selection() {
    const { from, to } = this.#view.state.selection.main;
    return { from, to };
  }

  // Another text, with an undo history of its own.
  open(text) {
    this.#isSilent = true;
    this.#view.setState(this.#state(text));
    this.#isSilent = false;
  }

  // One step of the undo history; what came in is selected.
  replace({ from, to }, insert) {
    this.#view.dispatch({
      changes: { from, to, insert },
      selection: { anchor: from, head: from + insert.length },
      userEvent: "input.model",
      scrollIntoView: true,
    });
  }

  // While a proposal waits for its answer, the text below it stays what it was.
  lock(isLocked) {
    this.#view.dispatch({ effects: this.#locked.reconfigure(EditorState.readOnly.of(isLocked)) });
  }

  select({ from, to }) {
    this.#view.dispatch({ selection: { anchor: from, head: to }, scrollIntoView: true });
  }

  undo() {
    undo(this.#view);
  }

  focus() {
    this.#view.focus();
  }

  #state(doc) {
    return EditorState.create({
      doc,
      extensions: [
        THEME,
        syntaxHighlighting(COLOURS),
        this.#dark.of(EditorView.darkTheme.of(darkness.matches)),
        this.#locked.of(EditorState.readOnly.of(false)),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "Text in Markdown", tabindex: "0", spellcheck: "true" }),
        highlightSpecialChars(),
        history(),
        drawSelection(),
        dropCursor(),
        closeBrackets(),
        search({ top: true }),
        placeholder("# A title\n\nWrite in Markdown…"),
        // No Tab: it leaves the text, as a keyboard needs.
        keymap.of([FIND, ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap]),
        markdown({ base: markdownLanguage }),
        EditorView.updateListener.of(({ docChanged }) => {
          if (docChanged && !this.#isSilent) this.on.changed();
        }),
      ],
    });
  }
}
