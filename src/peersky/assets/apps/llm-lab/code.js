// CodeMirror as the editor uses it: a pane of code, and the comparison of two versions of a file. Each stands in a shadow
// root, since there CodeMirror's styles are style sheet objects, which the page's Content-Security-Policy allows.

import {
  autocompletion,
  bracketMatching,
  closeBrackets,
  closeBracketsKeymap,
  Compartment,
  completionKeymap,
  css,
  defaultKeymap,
  drawSelection,
  dropCursor,
  EditorState,
  EditorView,
  highlightActiveLine,
  highlightSelectionMatches,
  highlightSpecialChars,
  HighlightStyle,
  history,
  historyKeymap,
  html,
  indentOnInput,
  indentUnit,
  indentWithTab,
  javascript,
  json,
  keymap,
  lineNumbers,
  markdown,
  openSearchPanel,
  placeholder,
  searchKeymap,
  syntaxHighlighting,
  tags,
  Transaction,
  unifiedMergeView,
} from "./vendor/codemirror.esm.js";

const LANGUAGES = { html, css, js: javascript, json, markdown, text: () => [] };

// The window takes Ctrl+F for its own search, which sees only the lines that are drawn.
const FIND = { key: "Ctrl-Shift-f", run: openSearchPanel, preventDefault: true };

// Colours come from editor.css, so that one theme is light and dark.
const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: "var(--code-keyword)" },
  { tag: [tags.tagName, tags.heading, tags.definitionKeyword], color: "var(--code-tag)" },
  { tag: [tags.attributeName, tags.propertyName, tags.className], color: "var(--code-name)" },
  { tag: [tags.string, tags.attributeValue, tags.regexp, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.unit, tags.color], color: "var(--code-number)" },
  { tag: [tags.comment, tags.meta, tags.documentMeta], color: "var(--text-soft)", fontStyle: "italic" },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: "var(--code-function)" },
  { tag: tags.invalid, color: "var(--bad)" },
  { tag: tags.link, textDecoration: "underline" },
  { tag: tags.strong, fontWeight: "bold" },
  { tag: tags.emphasis, fontStyle: "italic" },
]);

const THEME = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "0.875rem" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--text)", padding: "0.5rem 0" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--text-soft)", border: "none" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)",
  },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--warn) 22%, transparent)" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--warn) 30%, transparent)", outline: "1px solid var(--warn)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--line-strong)" },
  ".cm-placeholder": { color: "var(--text-soft)" },
  ".cm-panels, .cm-tooltip": { backgroundColor: "var(--surface-sunk)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-panel input, .cm-panel button": { font: "inherit", color: "var(--text)", background: "var(--surface)", border: "1px solid var(--line-strong)", borderRadius: "0.3rem" },
  ".cm-panel.cm-search label": { fontSize: "0.85rem" },
  ".cm-changedLine": { backgroundColor: "var(--good-soft) !important" },
  ".cm-insertedLine": { textDecoration: "none" },
  ".cm-changedText, .cm-insertedLine .cm-changedText": { background: "color-mix(in srgb, var(--good) 28%, transparent) !important", textDecoration: "none" },
  ".cm-deletedChunk": { backgroundColor: "var(--bad-soft)", paddingLeft: "0.375rem" },
  // Plain text: not every colour of the syntax can be read on every ground.
  ".cm-deletedChunk *, .cm-changedText, .cm-changedText *": { color: "var(--text) !important" },
  ".cm-deletedChunk .cm-deletedText": { background: "color-mix(in srgb, var(--bad) 26%, transparent)" },
  ".cm-deletedLine del, .cm-deletedChunk del": { textDecoration: "none" },
  ".cm-changeGutter .cm-changedLineGutter": { background: "var(--good)" },
  ".cm-changeGutter .cm-deletedLineGutter": { background: "var(--bad)" },
  ".cm-collapsedLines": { color: "var(--text-soft)", background: "var(--surface-sunk)" },
});

const darkness = window.matchMedia("(prefers-color-scheme: dark)");
const dark = new Compartment();

const shared = (label) => [
  THEME,
  syntaxHighlighting(COLOURS),
  dark.of(EditorView.darkTheme.of(darkness.matches)),
  highlightSpecialChars(),
  EditorView.lineWrapping,
  EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocapitalize: "off" }),
];

function mounted(host, state) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const view = new EditorView({ state, parent: root, root });
  darkness.addEventListener("change", () => view.dispatch({ effects: dark.reconfigure(EditorView.darkTheme.of(darkness.matches)) }));
  return view;
}

// A pane: one file at a time, each with its own undo history.
export class CodePane {
  #view;
  #states = new Map();
  #path = "";
  #silent = false;

  // onChange(path, text): after everything a person typed.
  constructor(host, label, onChange) {
    this.#view = mounted(host, EditorState.create());
    this.label = label;
    this.onChange = onChange;
  }

  get path() {
    return this.#path;
  }

  // Shows a file. What is known of it (undo history, selection) is kept while its text is the same.
  show(path, text, language) {
    if (this.#path && this.#path !== path) this.#states.set(this.#path, this.#view.state);
    const known = this.#path === path ? this.#view.state : this.#states.get(path);
    this.#path = path;
    if (known) {
      if (known !== this.#view.state) this.#view.setState(known);
      this.set(text);
    } else {
      this.#view.setState(this.#fresh(path, text, language));
    }
  }

  // Another text, as one step of the pane's own undo history.
  set(text) {
    if (this.#view.state.doc.toString() === text) return;
    this.#silent = true;
    this.#view.dispatch({
      changes: { from: 0, to: this.#view.state.doc.length, insert: text },
      annotations: Transaction.userEvent.of("input.replace"),
    });
    this.#silent = false;
  }

  // Forgets everything: another page is edited from now on.
  reset() {
    this.#states.clear();
    this.#path = "";
  }

  focus() {
    this.#view.focus();
  }

  #fresh(path, text, language) {
    return EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        dropCursor(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        autocompletion(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        indentUnit.of("  "),
        placeholder(`${this.label} of ${path}`),
        keymap.of([FIND, ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, indentWithTab]),
        LANGUAGES[language](),
        shared(`${this.label}: ${path}`),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !this.#silent) this.onChange(this.#path, update.state.doc.toString());
        }),
      ],
    });
  }
}

const collapseUnchanged = { margin: 3, minSize: 8 };
// Bounds of the comparison: two texts that have little in common would take it for ever.
const diffConfig = { scanLimit: 500, timeout: 200 };

// What changes in a file: the new text, with what goes and what comes marked.
export class DiffView {
  #view;
  #original = null;
  #language = "";

  constructor(host) {
    this.#view = mounted(host, EditorState.create());
  }

  show(path, before, after, language) {
    const key = `${path}\n${before}`;
    if (this.#original === key && this.#language === language) {
      this.#grow(after);
      return;
    }
    this.#original = key;
    this.#language = language;
    this.#view.setState(
      EditorState.create({
        doc: after,
        extensions: [
          lineNumbers(),
          EditorState.readOnly.of(true),
          EditorView.contentAttributes.of({ "aria-readonly": "true" }),
          keymap.of([FIND, ...defaultKeymap, ...searchKeymap]),
          LANGUAGES[language](),
          shared(`Proposed change of ${path}`),
          // A file that is new has nothing to be compared with.
          before.trim() ? unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged, diffConfig }) : [],
        ],
      }),
    );
  }

  // Only the part that is new, so that a long answer costs no more per word than a short one.
  #grow(after) {
    const now = this.#view.state.doc.toString();
    if (now === after) return;
    let from = 0;
    while (from < now.length && from < after.length && now[from] === after[from]) from += 1;
    this.#view.dispatch({ changes: { from, to: now.length, insert: after.slice(from) } });
  }

  follow() {
    this.#view.dispatch({ effects: EditorView.scrollIntoView(this.#view.state.doc.length) });
  }

  focus() {
    this.#view.focus();
  }
}
