// ESLint's settings. Rules are listed one by one, so that `eslint` and `globals` are all that has to be installed.
import globals from "globals";

// Mistakes: code that does not do what it says.
const correctness = {
  "array-callback-return": "error",
  "constructor-super": "error",
  "for-direction": "error",
  "getter-return": "error",
  "no-async-promise-executor": "error",
  "no-class-assign": "error",
  "no-compare-neg-zero": "error",
  "no-cond-assign": "error",
  "no-const-assign": "error",
  "no-constant-binary-expression": "error",
  "no-constant-condition": ["error", { checkLoops: false }],
  "no-constructor-return": "error",
  "no-dupe-args": "error",
  "no-dupe-class-members": "error",
  "no-dupe-else-if": "error",
  "no-dupe-keys": "error",
  "no-duplicate-case": "error",
  "no-empty": ["error", { allowEmptyCatch: false }],
  "no-fallthrough": "error",
  "no-func-assign": "error",
  "no-import-assign": "error",
  "no-irregular-whitespace": "error",
  "no-loss-of-precision": "error",
  "no-promise-executor-return": "error",
  "no-redeclare": "error",
  "no-self-assign": "error",
  "no-self-compare": "error",
  "no-setter-return": "error",
  "no-shadow-restricted-names": "error",
  "no-sparse-arrays": "error",
  "no-this-before-super": "error",
  "no-undef": "error",
  "no-unmodified-loop-condition": "error",
  "no-unreachable": "error",
  "no-unreachable-loop": "error",
  "no-unsafe-finally": "error",
  "no-unsafe-negation": "error",
  "no-unsafe-optional-chaining": "error",
  "no-unused-expressions": "error",
  "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
  "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
  "use-isnan": "error",
  "valid-typeof": "error",
};

// Code that runs text: our pages carry a strict Content-Security-Policy, which would refuse it.
const security = {
  "no-eval": "error",
  "no-implied-eval": "error",
  "no-new-func": "error",
  "no-script-url": "error",
  "no-restricted-properties": [
    "error",
    { property: "outerHTML", message: "Build elements, or sanitise and use a template." },
    { object: "document", property: "write", message: "It replaces the page." },
  ],
};

const habits = {
  curly: ["error", "multi-line"],
  eqeqeq: ["error", "always", { null: "ignore" }],
  "no-throw-literal": "error",
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-const": "error",
  "prefer-promise-reject-errors": "error",
};

export default [
  {
    ignores: ["**/node_modules/", "**/vendor/", "src/peersky/assets/sidecar/", ".venv/", "**/build/", "**/dist/"],
  },
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { ecmaVersion: "latest", sourceType: "module" },
    rules: { ...correctness, ...security, ...habits },
  },
  {
    files: ["src/peersky/assets/**/*.js"],
    languageOptions: {
      // What shared/ defines: classic scripts, since modules do not load from another host of a scheme.
      globals: { ...globals.browser, PeerSky: "readonly" },
    },
  },
  {
    files: ["src/peersky/assets/shared/**/*.js"],
    languageOptions: { sourceType: "script" },
  },
  {
    // Injected before a page's own scripts: joined inside one function, after a `config` that the browser writes.
    files: ["src/peersky/assets/inject/**/*.js"],
    languageOptions: {
      sourceType: "script",
      parserOptions: { ecmaFeatures: { globalReturn: true, impliedStrict: true } },
      globals: { config: "readonly" },
    },
  },
  {
    // What trust.js, errors.js and keys.js define for the scripts after them.
    files: ["src/peersky/assets/inject/{trust,errors,keys}.js"],
    rules: {
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^(isTrustedFrame|problem|fromBridge|canonicalUrl)$" }],
    },
  },
  {
    files: ["src/peersky/assets/inject/{keys,fetch,llm,memory}.js"],
    languageOptions: { globals: { problem: "readonly", fromBridge: "readonly" } },
  },
  {
    files: ["src/peersky/assets/inject/{fetch,links,addresses}.js"],
    languageOptions: { globals: { canonicalUrl: "readonly" } },
  },
  {
    files: ["bench/**/*.mjs", "sidecar/**/*.js", "tests/**/*.mjs", "eslint.config.js"],
    languageOptions: { globals: { ...globals.node } },
  },
];
