// The highlighter with its common languages, as one module: tools/bundle_assets.py bundles this with esbuild.

export { default } from "highlight.js/lib/common";
