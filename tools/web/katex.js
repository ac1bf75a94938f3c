// The renderer of mathematics, as one module: tools/bundle_assets.py bundles this with esbuild.

export { default } from "katex";
