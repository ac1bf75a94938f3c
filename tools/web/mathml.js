// The renderer of mathematics where it makes MathML alone, as one module: tools/bundle_assets.py bundles this with esbuild.

export { default } from "katex";
